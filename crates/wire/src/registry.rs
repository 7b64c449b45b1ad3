//! Registries: login, search, and what a name means at its registry.

use crate::macros::wire;

wire! {
    /// The answer of `POST /auth`.
    struct AuthResponse {
        status: String,
        identity_token: String,
    }

    /// One repository of `GET /images/search`. Its members are in snake case.
    #[serde(rename_all = "snake_case")]
    struct SearchResult {
        description: String,
        is_official: bool,
        is_automated: bool,
        name: String,
        star_count: i64,
    }

    /// `GET /distribution/{name}/json`.
    struct DistributionInspect {
        descriptor: Descriptor,
        platforms: Vec<DescriptorPlatform>,
    }

    /// What a name means. Its members are in camel case.
    #[serde(rename_all = "camelCase")]
    struct Descriptor {
        media_type: String,
        digest: String,
        size: i64,
    }

    /// A platform of an image. Its members are in lower case.
    #[serde(rename_all = "lowercase")]
    struct DescriptorPlatform {
        architecture: String,
        os: String,
        omit variant: String,
    }
}
