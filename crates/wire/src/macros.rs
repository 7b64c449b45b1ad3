//! `wire!`: a struct in docker's JSON, with Go's rules for missing, null and empty values.

/// Declares structs with public fields in PascalCase unless the struct says otherwise. Each field decodes a missing value and `null` as its
/// default. Encoding depends on the word before the field:
/// none: always written; `omit`: left out when it is the default (Go's `omitempty`); `null`: an empty list or map
/// is written as `null` (Go's nil slice); `flatten`: the members stand in the parent object; `raw`: only the
/// attributes given.
macro_rules! wire {
    (@ [$($meta:tt)*] $name:ident [$($out:tt)*]) => {
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        $($meta)*
        #[serde(default)]
        #[allow(missing_docs, reason = "the fields are docker's and its API reference describes them")]
        pub struct $name { $($out)* }
    };
    (@ $meta:tt $name:ident [$($out:tt)*] $(#[$fm:meta])* omit $field:ident : $ty:ty, $($rest:tt)*) => {
        crate::macros::wire!(@ $meta $name [$($out)*
            #[serde(deserialize_with = "crate::decode::null_is_zero", skip_serializing_if = "crate::decode::is_zero")]
            $(#[$fm])* pub $field: $ty,
        ] $($rest)*);
    };
    (@ $meta:tt $name:ident [$($out:tt)*] $(#[$fm:meta])* null $field:ident : $ty:ty, $($rest:tt)*) => {
        crate::macros::wire!(@ $meta $name [$($out)*
            #[serde(deserialize_with = "crate::decode::null_is_zero", serialize_with = "crate::decode::zero_is_null")]
            $(#[$fm])* pub $field: $ty,
        ] $($rest)*);
    };
    (@ $meta:tt $name:ident [$($out:tt)*] $(#[$fm:meta])* flatten $field:ident : $ty:ty, $($rest:tt)*) => {
        crate::macros::wire!(@ $meta $name [$($out)* #[serde(flatten)] $(#[$fm])* pub $field: $ty,] $($rest)*);
    };
    (@ $meta:tt $name:ident [$($out:tt)*] $(#[$fm:meta])* raw $field:ident : $ty:ty, $($rest:tt)*) => {
        crate::macros::wire!(@ $meta $name [$($out)* $(#[$fm])* pub $field: $ty,] $($rest)*);
    };
    (@ $meta:tt $name:ident [$($out:tt)*] $(#[$fm:meta])* $field:ident : $ty:ty, $($rest:tt)*) => {
        crate::macros::wire!(@ $meta $name [$($out)*
            #[serde(deserialize_with = "crate::decode::null_is_zero")]
            $(#[$fm])* pub $field: $ty,
        ] $($rest)*);
    };
    () => {};
    ($(#[doc = $doc:literal])* #[serde($($case:tt)*)] struct $name:ident { $($body:tt)* } $($rest:tt)*) => {
        crate::macros::wire!(@ [$(#[doc = $doc])* #[serde($($case)*)]] $name [] $($body)*);
        crate::macros::wire!($($rest)*);
    };
    ($(#[doc = $doc:literal])* struct $name:ident { $($body:tt)* } $($rest:tt)*) => {
        crate::macros::wire!(@ [$(#[doc = $doc])* #[serde(rename_all = "PascalCase")]] $name [] $($body)*);
        crate::macros::wire!($($rest)*);
    };
}

pub(crate) use wire;
