//! The table of all verbs: docker's short forms and its groups.

use super::parse::Verb;
use super::*;

/// A verb or a group of verbs.
pub(crate) enum Entry {
    Verb(Verb),
    /// Works, but is not listed.
    Hidden(Verb),
    Group {
        name: &'static str,
        about: &'static str,
        entries: &'static [Entry],
    },
}

const CONTAINER: &[Entry] = &[
    Entry::Verb(Verb::of::<attach::Attach>()),
    Entry::Verb(Verb::of::<commit::Commit>()),
    Entry::Verb(Verb::of::<cp::Cp>()),
    Entry::Verb(Verb::of::<create::Create>()),
    Entry::Verb(Verb::of::<diff::Diff>()),
    Entry::Verb(Verb::of::<exec::Exec>()),
    Entry::Verb(Verb::of::<export::Export>()),
    Entry::Verb(Verb::of::<inspect::InspectContainer>()),
    Entry::Verb(Verb::of::<kill::Kill>()),
    Entry::Verb(Verb::of::<logs::Logs>()),
    Entry::Verb(Verb::of::<ps::Ps>().called("ls")),
    Entry::Hidden(Verb::of::<ps::Ps>().called("list")),
    Entry::Hidden(Verb::of::<ps::Ps>()),
    Entry::Verb(Verb::of::<pause::Pause>()),
    Entry::Verb(Verb::of::<prune::Containers>()),
    Entry::Verb(Verb::of::<port::Port>()),
    Entry::Verb(Verb::of::<rename::Rename>()),
    Entry::Verb(Verb::of::<restart::Restart>()),
    Entry::Verb(Verb::of::<rm::Rm>()),
    Entry::Hidden(Verb::of::<rm::Rm>().called("remove")),
    Entry::Verb(Verb::of::<run::Run>()),
    Entry::Verb(Verb::of::<start::Start>()),
    Entry::Verb(Verb::of::<stats::Stats>()),
    Entry::Verb(Verb::of::<stop::Stop>()),
    Entry::Verb(Verb::of::<top::Top>()),
    Entry::Verb(Verb::of::<unpause::Unpause>()),
    Entry::Verb(Verb::of::<update::Update>()),
    Entry::Verb(Verb::of::<wait::Wait>()),
];

const IMAGE: &[Entry] = &[
    Entry::Verb(Verb::of::<check::Check>()),
    Entry::Verb(Verb::of::<history::History>()),
    Entry::Verb(Verb::of::<import::Import>()),
    Entry::Verb(Verb::of::<inspect::InspectImage>()),
    Entry::Verb(Verb::of::<load::Load>()),
    Entry::Verb(Verb::of::<images::Images>().called("ls")),
    Entry::Verb(Verb::of::<pull::Pull>()),
    Entry::Verb(Verb::of::<push::Push>()),
    Entry::Hidden(Verb::of::<images::Images>().called("list")),
    Entry::Verb(Verb::of::<prune::Images>()),
    Entry::Verb(Verb::of::<rmi::Rmi>().called("rm")),
    Entry::Hidden(Verb::of::<rmi::Rmi>().called("remove")),
    Entry::Verb(Verb::of::<save::Save>()),
    Entry::Verb(Verb::of::<tag::Tag>()),
];

const MANIFEST: &[Entry] = &[Entry::Verb(Verb::of::<manifest::InspectManifest>())];

const SYSTEM: &[Entry] = &[
    Entry::Verb(Verb::of::<df::Df>()),
    Entry::Verb(Verb::of::<dial::Dial>()),
    Entry::Verb(Verb::of::<events::Events>()),
    Entry::Verb(Verb::of::<info::Info>()),
    Entry::Verb(Verb::of::<prune::System>()),
];

const NETWORK: &[Entry] = &[
    Entry::Verb(Verb::of::<network::connect::Connect>()),
    Entry::Verb(Verb::of::<network::create::Create>()),
    Entry::Verb(Verb::of::<network::disconnect::Disconnect>()),
    Entry::Verb(Verb::of::<network::inspect::Inspect>()),
    Entry::Verb(Verb::of::<network::ls::Ls>()),
    Entry::Hidden(Verb::of::<network::ls::Ls>().called("list")),
    Entry::Verb(Verb::of::<network::prune::Prune>()),
    Entry::Verb(Verb::of::<network::rm::Rm>()),
    Entry::Hidden(Verb::of::<network::rm::Rm>().called("remove")),
    Entry::Verb(Verb::of::<network::trace::Trace>()),
];

const VOLUME: &[Entry] = &[
    Entry::Verb(Verb::of::<volume::create::Create>()),
    Entry::Verb(Verb::of::<volume::inspect::Inspect>()),
    Entry::Verb(Verb::of::<volume::ls::Ls>()),
    Entry::Hidden(Verb::of::<volume::ls::Ls>().called("list")),
    Entry::Verb(Verb::of::<volume::prune::Prune>()),
    Entry::Verb(Verb::of::<volume::rm::Rm>()),
    Entry::Hidden(Verb::of::<volume::rm::Rm>().called("remove")),
];

const CONTEXT: &[Entry] = &[
    Entry::Verb(Verb::of::<contexts::create::Create>()),
    Entry::Verb(Verb::of::<contexts::transfer::Export>()),
    Entry::Verb(Verb::of::<contexts::transfer::Import>()),
    Entry::Verb(Verb::of::<contexts::show::Inspect>()),
    Entry::Verb(Verb::of::<contexts::show::Ls>()),
    Entry::Hidden(Verb::of::<contexts::show::Ls>().called("list")),
    Entry::Verb(Verb::of::<contexts::choose::Rm>()),
    Entry::Hidden(Verb::of::<contexts::choose::Rm>().called("remove")),
    Entry::Verb(Verb::of::<contexts::show::Show>()),
    Entry::Verb(Verb::of::<contexts::create::Update>()),
    Entry::Verb(Verb::of::<contexts::choose::Use>()),
];

const ENGINE: &[Entry] = &[
    Entry::Verb(Verb::of::<engine::Restart>()),
    Entry::Verb(Verb::of::<engine::Start>()),
    Entry::Verb(Verb::of::<engine::Status>()),
    Entry::Verb(Verb::of::<engine::Stop>()),
];

/// Everything that `hull` can do.
pub(crate) const ALL: &[Entry] = &[
    Entry::Verb(Verb::of::<attach::Attach>()),
    Entry::Verb(Verb::of::<commit::Commit>()),
    Entry::Verb(Verb::of::<completion::Completion>()),
    Entry::Group { name: "container", about: "Manage containers", entries: CONTAINER },
    Entry::Group { name: "context", about: "Manage contexts: engines by name", entries: CONTEXT },
    Entry::Verb(Verb::of::<cp::Cp>()),
    Entry::Verb(Verb::of::<create::Create>()),
    Entry::Verb(Verb::of::<debug::Debug>()),
    Entry::Verb(Verb::of::<diff::Diff>()),
    Entry::Verb(Verb::of::<diff_view::DiffView>()),
    Entry::Group { name: "engine", about: "Start, stop and show the engine", entries: ENGINE },
    Entry::Verb(Verb::of::<events::Events>()),
    Entry::Verb(Verb::of::<exec::Exec>()),
    Entry::Verb(Verb::of::<explain::Explain>()),
    Entry::Verb(Verb::of::<export::Export>()),
    Entry::Verb(Verb::of::<history::History>()),
    Entry::Group { name: "image", about: "Manage images", entries: IMAGE },
    Entry::Verb(Verb::of::<images::Images>()),
    Entry::Verb(Verb::of::<import::Import>()),
    Entry::Verb(Verb::of::<info::Info>()),
    Entry::Verb(Verb::of::<inspect::Inspect>()),
    Entry::Verb(Verb::of::<kill::Kill>()),
    Entry::Verb(Verb::of::<load::Load>()),
    Entry::Verb(Verb::of::<login::Login>()),
    Entry::Verb(Verb::of::<login::Logout>()),
    Entry::Verb(Verb::of::<logs::Logs>()),
    Entry::Group { name: "network", about: "Manage networks", entries: NETWORK },
    Entry::Group { name: "manifest", about: "Show manifests of registries", entries: MANIFEST },
    Entry::Verb(Verb::of::<pause::Pause>()),
    Entry::Verb(Verb::of::<port::Port>()),
    Entry::Verb(Verb::of::<ps::Ps>()),
    Entry::Verb(Verb::of::<pull::Pull>()),
    Entry::Verb(Verb::of::<push::Push>()),
    Entry::Verb(Verb::of::<rename::Rename>()),
    Entry::Verb(Verb::of::<restart::Restart>()),
    Entry::Verb(Verb::of::<rm::Rm>()),
    Entry::Verb(Verb::of::<rmi::Rmi>()),
    Entry::Verb(Verb::of::<run::Run>()),
    Entry::Verb(Verb::of::<save::Save>()),
    Entry::Verb(Verb::of::<search::Search>()),
    Entry::Verb(Verb::of::<start::Start>()),
    Entry::Verb(Verb::of::<stats::Stats>()),
    Entry::Verb(Verb::of::<stop::Stop>()),
    Entry::Group {
        name: "system",
        about: "Show the engine, what happens in it and what it takes; clean up",
        entries: SYSTEM,
    },
    Entry::Verb(Verb::of::<tag::Tag>()),
    Entry::Verb(Verb::of::<top::Top>()),
    Entry::Verb(Verb::of::<unpause::Unpause>()),
    Entry::Verb(Verb::of::<update::Update>()),
    Entry::Verb(Verb::of::<version::Version>()),
    Entry::Group { name: "volume", about: "Manage volumes", entries: VOLUME },
    Entry::Verb(Verb::of::<wait::Wait>()),
    Entry::Verb(Verb::of::<why::Why>()),
    Entry::Hidden(Verb::of::<docs::Docs>()),
    Entry::Hidden(Verb::of::<docs::Man>()),
];
