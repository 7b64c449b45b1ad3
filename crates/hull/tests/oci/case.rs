//! [`Case`]: one behaviour, written once over runc's command line, and the runtimes that it holds for.

use libtest_mimic::Trial;

/// A runtime with runc's command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The product: `hull oci`.
    Hull,
    /// A control, so that a wrong expectation shows.
    Runc,
    /// Another control.
    Crun,
}

impl Runtime {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hull, Self::Runc, Self::Crun];

    /// How test names begin.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hull => "hull",
            Self::Runc => "runc",
            Self::Crun => "crun",
        }
    }
}

/// A named test and where it does not hold.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    module: &'static str,
    name: &'static str,
    test: fn(Runtime),
    /// Controls that do otherwise, and why.
    not_over: [Option<(Runtime, &'static str)>; 2],
}

impl Case {
    /// A case that holds for every runtime.
    pub const fn new(module: &'static str, name: &'static str, test: fn(Runtime)) -> Self {
        Self { module, name, test, not_over: [None; 2] }
    }

    /// Not over this control, for this reason.
    pub const fn not_over(mut self, control: Runtime, why: &'static str) -> Self {
        assert!(!matches!(control, Runtime::Hull), "the product is not a control");
        assert!(!why.is_empty(), "say why");
        let free = if self.not_over[0].is_none() { 0 } else { 1 };
        self.not_over[free] = Some((control, why));
        self
    }

    /// Over the product alone, for this reason.
    pub const fn hull_only(self, why: &'static str) -> Self {
        self.not_over(Runtime::Runc, why).not_over(Runtime::Crun, why)
    }

    /// The tests that it is. Those of controls are `ignored`: they run when they are asked for, since a failure of
    /// theirs is none of the product.
    pub fn trials(self) -> impl Iterator<Item = Trial> {
        let holds = move |r: &Runtime| !self.not_over.iter().flatten().any(|(other, _)| other == r);
        Runtime::ALL.into_iter().filter(holds).map(move |runtime| {
            let module = self.module.rsplit("::").next().unwrap_or_default();
            let name = format!("{}::{module}::{}", runtime.name(), self.name);
            Trial::test(name, move || {
                (self.test)(runtime);
                Ok(())
            })
            .with_ignored_flag(runtime != Runtime::Hull)
        })
    }
}

/// The cases of a module: `cases![a, b.not_over(Runc, "why")]`.
macro_rules! cases {
    ($($name:ident $(. $limit:ident ( $($why:expr),* ))* ;)*) => {
        /// What this module shows.
        pub const CASES: &[crate::case::Case] =
            &[$(crate::case::Case::new(module_path!(), stringify!($name), $name)$(.$limit($($why),*))*),*];
    };
}
pub(crate) use cases;
