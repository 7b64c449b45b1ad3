//! Opening an engine: its directories and state, the parts it lends out, recovery, and the exits that
//! the keeper reports from then on.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hull_launch::keeper::{ExitRecord, Handover};
use hull_records::{Db, Options, Sync};
use hull_snapshot::{Place, Places};
use hull_types::Fault;

use crate::config::EngineConfig;
use crate::container::{Ending, Message};
use crate::core::{Core, Facts, blocking};
use crate::error::Error;
use crate::events::Events;
use crate::exec::{self, Execs};
use crate::janitor::{Janitor, Job};
use crate::keeper::{Keeper, News};
use crate::networks::Networks;
use crate::prepare::{HostFacts, IdRanges, Parts};
use crate::recover;
use crate::registry::Registry;
use crate::settings::Current;
use crate::transfer::Transfers;

/// Root file systems of each kind, and network namespaces, that are kept ready.
const POOLED: usize = 2;

/// What every start mounts on, where the image has no place for it, and what tells programs that they are in a
/// container. COMPAT(docker 28): its init layer.
const PLACES: Places = Places(&[
    ("", &[Place::Directory("proc"), Place::Directory("sys"), Place::File(".dockerenv")]),
    ("dev", &[Place::Directory("pts"), Place::Directory("shm"), Place::File("console")]),
    (
        "etc",
        &[
            Place::File("resolv.conf"),
            Place::File("hostname"),
            Place::File("hosts"),
            Place::Link("mtab", "/proc/mounts"),
        ],
    ),
]);

/// Opens the state and recovers.
pub(crate) async fn open(config: EngineConfig) -> Result<Arc<Core>, Fault> {
    let instance = config.instance();
    let boot = boot_id()?;
    for (dir, mode) in [(&config.root, 0o711), (&config.run, 0o711), (&config.root.join("containers"), 0o710)] {
        directory(dir, mode)?;
    }
    raise_file_limit();
    let handover = handover(&config.run);
    let keeper = Keeper::new(hull_launch::keeper::Link::new(config.keeper));
    let news = Inbox::default();
    let inbox = news.clone();
    keeper.listen(move |item| inbox.deliver(item))?;
    let (durable, fleeting) = databases(&config.root, &config.run)?;
    let parts = parts(&config.root, instance.clone(), config.pools, durable.clone())?;
    let in_use = |network: &str| recover::runs_on(&[&durable, &fleeting], &boot, network);
    let settings = Current::new(config.settings);
    let networks = Networks::open(durable.clone(), &instance, &settings.now().networks, &in_use)?;
    let images = blocking(|| images(&config.root, durable.clone(), (*parts.snapshots).clone()))?;
    let janitor = Janitor::start(Arc::clone(&parts), Arc::clone(networks.switch()), config.pools.then_some(POOLED))?;
    let transfers = Transfers::new(images.content(), &config.version, settings.now().registries.as_ref());
    let remembered = blocking(|| crate::why::Remembered::load(&durable, &fleeting));
    let core = Arc::new(Core {
        facts: Facts {
            root: config.root,
            run: config.run,
            instance,
            host: config.host,
            listener: config.listener,
            handover,
            under_systemd: is_main_process(config.keeper_pid),
            pools: config.pools,
            boot,
            version: config.version,
            commit: config.commit,
            built: config.built,
        },
        parts,
        images,
        transfers,
        durable,
        fleeting,
        registry: Registry::default(),
        settings,
        networks,
        keeper,
        events: Events::new(),
        collector: hull_logs::Collector::start()?,
        execs: Execs::default(),
        remembered,
        stories: crate::story::Stories::default(),
        janitor,
        settling: Arc::default(),
        runtime: tokio::runtime::Handle::current(),
    });
    recover::recover(&core).await?;
    news.connect(&core);
    core.janitor.ask(Job::Refill);
    crate::volumes::settle_soon(&core);
    Ok(core)
}

fn databases(root: &Path, run: &Path) -> Result<(Db, Db), Fault> {
    let durable = blocking(|| Db::open(root.join("state.db")))?;
    let fleeting = blocking(|| Db::open_with(run.join("state.db"), Options { sync: Sync::Never }))?;
    Ok((durable, fleeting))
}

fn images(root: &Path, db: Db, snapshots: hull_snapshot::Snapshots) -> Result<hull_image::Images, hull_image::Error> {
    let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| hull_registry::HULL_ETC.into());
    let bounds = hull_image::Bounds::read(Path::new(&etc));
    if let Err(error) = &bounds {
        tracing::error!(%error, "no image can be brought in");
    }
    hull_image::Images::bounded(root, db, snapshots, bounds)
}

fn parts(root: &Path, instance: String, pools: bool, durable: Db) -> Result<Arc<Parts>, Fault> {
    let snapshots = blocking(|| hull_snapshot::Snapshots::open(root))?.with_places(PLACES);
    snapshots.set_pool(if pools { POOLED } else { 0 });
    Ok(Arc::new(Parts {
        root: root.to_owned(),
        instance,
        snapshots: Arc::new(snapshots),
        volumes: Arc::new(crate::volumes::open(root, durable)?),
        cgroups: Arc::new(hull_cgroup::Host::detect()?),
        netns: Arc::new(hull_network::Pool::new()),
        host: HostFacts::read()?,
        ranges: IdRanges::default(),
        filters: hull_confine::seccomp::Cache::default(),
    }))
}

/// Without it the engine works, but can hand nothing over when its keeper dies.
fn handover(run: &Path) -> Option<Handover> {
    let opened = Handover::open(run);
    opened.inspect_err(|error| tracing::warn!(%error, "what the keeper holds will be lost with it")).ok()
}

/// Whether systemd has started the process `pid` itself, as it tells in the environment.
fn is_main_process(pid: Option<u32>) -> bool {
    let told = std::env::var("SYSTEMD_EXEC_PID").ok().and_then(|text| text.parse().ok());
    told.is_some() && told == pid
}

fn boot_id() -> Result<String, Error> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path);
    text.map(|t| t.trim().to_owned()).map_err(|source| Error::File { attempt: "read", path: path.into(), source })
}

fn directory(path: &Path, mode: u32) -> Result<(), Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| Error::File { attempt: "create", path: path.display().to_string(), source })
}

/// Each running container costs a handful of descriptors; the soft limit is raised as far as allowed.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(errno) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%errno, "the limit of open files stays low");
    }
}

/// The keeper's news before and after recovery: kept first, handed on later, in order.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<Stage>>);

enum Stage {
    Recovering(Vec<News>),
    Running(Weak<Core>),
}

impl Default for Stage {
    fn default() -> Self {
        Self::Recovering(Vec::new())
    }
}

impl Inbox {
    fn deliver(&self, news: News) {
        let core = match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Recovering(kept) => return kept.push(news),
            Stage::Running(core) => core.upgrade(),
        };
        if let Some(core) = core {
            hear(&core, news);
        }
    }

    fn connect(&self, core: &Arc<Core>) {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // ORDER: under the lock, so that nothing newer overtakes what was kept.
        if let Stage::Recovering(kept) = std::mem::replace(&mut *stage, Stage::Running(Arc::downgrade(core))) {
            kept.into_iter().for_each(|news| hear(core, news));
        }
    }
}

fn hear(core: &Arc<Core>, news: News) {
    match news {
        News::Exited(record) => exited(core, record),
        News::Gone => crate::orphan::keeper_died(core),
    }
}

fn exited(core: &Core, record: ExitRecord) {
    let container = record.key.parse().ok().and_then(|id| core.registry.get(&id));
    if let Some(container) = container {
        if container.tell(Message::Exited(Ending::Known(record))).is_err() {
            tracing::debug!(id = %container.id, "exit of a container that is gone");
        }
        return;
    }
    match core.execs.get(&record.key) {
        Ok(exec) => exec::on_exit(core, &exec, &record),
        // Of an exec that an earlier engine started.
        Err(_) => core.janitor.ask(Job::File(core.exit_record(&record.key))),
    }
}
