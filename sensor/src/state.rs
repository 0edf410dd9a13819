//! The inventory that outlives the process: read at the start, written at the end and, in `run`, in between.

#[cfg(feature = "live")]
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use umbra_discovery::definition::{Definition, Definitions};
use umbra_discovery::routes::{self, Pin, Pins, Routes, Snapshot};
use umbra_discovery::{Counters, Endpoint, EndpointState};
use umbra_event::FleetKey;
use umbra_event::redact::{Redaction, Reveal};
use umbra_pipeline::Inventory;
use umbra_store::{Codec, Reading, Store, Unreadable, Writing};

use crate::config::Config;
use crate::exit::{self, Failure};
use crate::key;

/// File of the state directory with the key that this state's hashes are made with: counts of clients can only be joined
/// under one key.
const KEY_FILE: &str = "fleet.key";

/// The rows of endpoints.
struct Endpoints;

impl Codec for Endpoints {
    type Value = Endpoint;
    const KIND: &'static str = "endpoint";
    const VERSION: u32 = 1;

    fn write(value: &Endpoint, out: &mut Vec<u8>) {
        // Writing to memory cannot fail, and the state has no map whose keys are not text.
        let _ = serde_json::to_writer(out, &EndpointState::from(value));
    }

    fn read(_: u32, bytes: &[u8]) -> Result<Endpoint, Unreadable> {
        let state: EndpointState = serde_json::from_slice(bytes).map_err(|_| Unreadable)?;
        state.endpoint().ok_or(Unreadable)
    }

    fn merge(value: &mut Endpoint, other: Endpoint) {
        value.merge(&other);
    }
}

/// The one row of the templates that were pinned when this was written: who prints without that configuration sees them, too.
struct Pinned;

impl Codec for Pinned {
    type Value = Vec<Pin>;
    const KIND: &'static str = "pinned";
    const VERSION: u32 = 1;

    fn write(value: &Vec<Pin>, out: &mut Vec<u8>) {
        let pins: Vec<(Option<&str>, &str)> = value.iter().map(|pin| (pin.service(), pin.template())).collect();
        let _ = serde_json::to_writer(out, &pins);
    }

    fn read(_: u32, bytes: &[u8]) -> Result<Vec<Pin>, Unreadable> {
        let pins: Vec<(Option<String>, String)> = serde_json::from_slice(bytes).map_err(|_| Unreadable)?;
        let pin = |(service, template): (Option<String>, String)| Pin::new(service.as_deref(), &template);
        pins.into_iter().map(pin).collect::<Result<_, _>>().map_err(|_| Unreadable)
    }

    fn merge(value: &mut Vec<Pin>, other: Vec<Pin>) {
        value.extend(other);
    }
}

/// The rows of documents that services publish, by host and path.
struct Documents;

impl Codec for Documents {
    type Value = Definition;
    const KIND: &'static str = "definition";
    const VERSION: u32 = 1;

    fn write(value: &Definition, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.seen.to_be_bytes());
        out.extend_from_slice(value.text.as_bytes());
    }

    fn read(_: u32, bytes: &[u8]) -> Result<Definition, Unreadable> {
        let (seen, text) = bytes.split_first_chunk().ok_or(Unreadable)?;
        let text = std::str::from_utf8(text).map_err(|_| Unreadable)?.into();
        Ok(Definition { seen: u64::from_be_bytes(*seen), text })
    }

    fn merge(value: &mut Definition, other: Definition) {
        if other > *value {
            *value = other;
        }
    }
}

/// The one row of what did not become an endpoint.
struct LeftOut;

impl Codec for LeftOut {
    type Value = Counters;
    const KIND: &'static str = "left_out";
    const VERSION: u32 = 1;

    fn write(value: &Counters, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, value);
    }

    fn read(_: u32, bytes: &[u8]) -> Result<Counters, Unreadable> {
        serde_json::from_slice(bytes).map_err(|_| Unreadable)
    }

    fn merge(value: &mut Counters, other: Counters) {
        value.merge(&other);
    }
}

/// The one row that says which fleet key the hashes of this state are made with.
struct KeyFingerprint;

impl Codec for KeyFingerprint {
    type Value = [u8; 8];
    const KIND: &'static str = "key";
    const VERSION: u32 = 1;

    fn write(value: &[u8; 8], out: &mut Vec<u8>) {
        out.extend_from_slice(value);
    }

    fn read(_: u32, bytes: &[u8]) -> Result<[u8; 8], Unreadable> {
        bytes.try_into().map_err(|_| Unreadable)
    }

    fn merge(_: &mut [u8; 8], _: [u8; 8]) {}
}

/// The rows of what was learnt of routes, one for each service: words as text where redaction lets them pass, else their hashes.
struct RouteEvidence;

impl Codec for RouteEvidence {
    type Value = Snapshot;
    const KIND: &'static str = "routes";
    const VERSION: u32 = 1;

    fn write(value: &Snapshot, out: &mut Vec<u8>) {
        let _ = serde_json::to_writer(out, value);
    }

    fn read(_: u32, bytes: &[u8]) -> Result<Snapshot, Unreadable> {
        serde_json::from_slice(bytes).map_err(|_| Unreadable)
    }

    /// Rows are written whole: what they hold is merged by [`Routes`].
    fn merge(_: &mut Snapshot, _: Snapshot) {}
}

/// Key of an endpoint's row. The id tells operations of one route apart, the route what the id leaves out.
fn row_key(endpoint: &Endpoint) -> Vec<u8> {
    let id = endpoint.id_hex();
    [endpoint.host(), endpoint.route(), endpoint.method(), endpoint.style.name(), &id].join("\0").into_bytes()
}

/// The state directory of a run.
pub(crate) struct State {
    store: Store,
    directory: PathBuf,
}

impl State {
    /// Opens the state directory, if there is to be one.
    pub(crate) fn open(config: &Config) -> Result<Option<State>, Failure> {
        let Some(directory) = &config.state.directory else { return Ok(None) };
        let store = Store::open(directory).map_err(|error| failure(&error))?;
        if let Some(aside) = store.set_aside() {
            tell!(
                "umbra: warning: the inventory in {} cannot be used and was set aside as {}; beginning a new one",
                directory.display(),
                aside.display()
            );
        }
        Ok(Some(State { store, directory: directory.clone() }))
    }

    /// The key of the key file, if there is one; else that of the state directory, made at the first time; else one for this run.
    pub(crate) fn fleet_key(state: Option<&mut State>, file: Option<[u8; 32]>) -> Result<[u8; 32], Failure> {
        let key = match (file, &state) {
            (Some(key), _) => key,
            (None, Some(state)) => {
                let path = state.directory.join(KEY_FILE);
                if !path.exists() {
                    make_key(&path).map_err(|error| Failure::new(exit::IO, format!("{}: {error}", path.display())))?;
                }
                key::fleet_key(Some(&path))?
            }
            (None, None) => key::fleet_key(None)?,
        };
        if let Some(state) = state {
            state.belong_to(FleetKey::new(&key).fingerprint())?;
        }
        Ok(key)
    }

    /// Refuses another key than that of the runs before: clients would count twice.
    fn belong_to(&mut self, fingerprint: [u8; 8]) -> Result<(), Failure> {
        match self.store.read_one::<KeyFingerprint>(b"").map_err(|error| failure(&error))? {
            Some(before) if before == fingerprint => Ok(()),
            Some(_) => Err(Failure::new(
                exit::CONFIG,
                format!(
                    "{}: the inventory is made with another fleet key: give that key file, or another state directory",
                    self.directory.display()
                ),
            )),
            None => {
                let write = |store: &mut Store| -> Result<(), umbra_store::Error> {
                    let mut writing = store.begin()?;
                    writing.put::<KeyFingerprint>(b"", &fingerprint, 0)?;
                    writing.commit()
                };
                write(&mut self.store).map_err(|error| failure(&error))
            }
        }
    }

    /// Adds what earlier runs found.
    pub(crate) fn restore(&self, inventory: &mut Inventory, routes: routes::Config) -> Result<(), Failure> {
        let unreadable = restore(&self.store, inventory, routes)?;
        if unreadable > 0 {
            tell!("umbra: warning: {unreadable} rows of {} cannot be read", self.store.file().display());
        }
        Ok(())
    }

    /// Makes the inventory what is kept. `None` keeps nothing. To be called before the inventory is settled: the templates are
    /// decided anew whenever it is read, on the evidence of all runs, so endpoints are kept as the workers told them apart.
    pub(crate) fn save(state: &mut Option<State>, inventory: &Inventory, redaction: &Redaction) -> Result<(), Failure> {
        let Some(state) = state else { return Ok(()) };
        let redaction = Redaction::new(redaction.key().clone(), Reveal::default());
        let mut newest = 0;
        let write = |store: &mut Store| -> Result<(), umbra_store::Error> {
            let mut writing = store.begin()?;
            writing.clear::<Endpoints>()?;
            for endpoint in inventory.endpoints() {
                newest = newest.max(endpoint.last_seen.nanos());
                writing.put::<Endpoints>(&row_key(endpoint), endpoint, endpoint.last_seen.nanos())?;
            }
            writing.put::<LeftOut>(b"", inventory.endpoint_counters(), newest)?;
            writing.put::<Pinned>(b"", &inventory.pins().list().to_vec(), newest)?;
            writing.clear::<RouteEvidence>()?;
            for (service, evidence) in
                inventory.routes().into_iter().flat_map(|it| it.evidence(|word| shows(&redaction, word)))
            {
                writing.put::<RouteEvidence>(service.as_bytes(), &evidence, newest)?;
            }
            write_documents(inventory.definitions(), &mut writing)?;
            writing.commit()
        };
        let mut write = write;
        write(&mut state.store).map_err(|error| failure(&error))
    }
}

/// Makes the documents those that are kept.
fn write_documents(definitions: &Definitions, writing: &mut Writing<'_>) -> Result<(), umbra_store::Error> {
    writing.clear::<Documents>()?;
    for (host, path, definition) in definitions.iter() {
        writing.put::<Documents>([host, path].join("\0").as_bytes(), definition, definition.seen)?;
    }
    Ok(())
}

/// Whether redaction shows a word of a path as it is.
pub(crate) fn shows(redaction: &Redaction, word: &str) -> bool {
    let mut shown = Vec::with_capacity(word.len());
    redaction.path(word.as_bytes(), &mut shown);
    shown == word.as_bytes()
}

/// A key of the kernel's random generator, that nobody else may read.
fn make_key(path: &Path) -> io::Result<()> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&key)?;
    file.sync_all()
}

/// Adds the rows of a store to an inventory. Says how many cannot be read.
fn restore(store: &Store, inventory: &mut Inventory, routes: routes::Config) -> Result<u64, Failure> {
    let Reading { rows, mut unreadable } = store.read::<Endpoints>().map_err(|error| failure(&error))?;
    rows.iter().for_each(|(_, endpoint)| inventory.restore(endpoint));
    let Reading { rows, unreadable: documents } = store.read::<Documents>().map_err(|error| failure(&error))?;
    for (key, definition) in rows {
        if let Some((host, path)) = std::str::from_utf8(&key).ok().and_then(|key| key.split_once('\0')) {
            inventory.restore_definition(host, path, definition);
        }
    }
    unreadable = unreadable.saturating_add(documents);
    if let Some(counters) = store.read_one::<LeftOut>(b"").map_err(|error| failure(&error))? {
        inventory.restore_left_out(&counters);
    }
    let evidence = store.read::<RouteEvidence>().map_err(|error| failure(&error))?;
    unreadable += evidence.unreadable;
    evidence.rows.into_iter().for_each(|(_, snapshot)| inventory.restore_routes(Routes::restore(routes, snapshot)));
    Ok(unreadable)
}

/// `umbra check`: whether what is kept can be read, if anything is yet.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    match config.state.directory.as_deref().map(Store::open_to_read) {
        None | Some(Ok(_) | Err(umbra_store::Error::NoState { .. })) => Ok(()),
        Some(Err(error)) => Err(failure(&error)),
    }
}

/// An inventory to print: nothing that was kept is left out of it.
pub(crate) fn empty_inventory(config: &Config, pins: Arc<Pins>) -> Inventory {
    let mut settings = umbra_discovery::Config::default();
    config.inventory_settings(&mut settings);
    (settings.endpoints, settings.unconfirmed) = (usize::MAX >> 1, usize::MAX >> 1);
    settings.pins = pins;
    Inventory::new(settings, 1)
}

/// `umbra inventory`: what the stores hold, joined.
pub(crate) fn read_inventory(paths: &[PathBuf], config: &Config) -> Result<Inventory, Failure> {
    let routes = routes::Config { services: usize::MAX >> 1, ..routes::Config::default() };
    let mut own_pins = config.pins();
    if own_pins.is_empty() {
        let mut pins: Vec<Pin> = Vec::new();
        for path in paths {
            let store = Store::open_to_read(path).map_err(|error| failure(&error))?;
            pins.extend(store.read_one::<Pinned>(b"").map_err(|error| failure(&error))?.unwrap_or_default());
        }
        own_pins = Arc::new(Pins::new(pins));
    }
    let mut inventory = empty_inventory(config, own_pins);
    let (mut runs, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for path in paths {
        let store = Store::open_to_read(path).map_err(|error| failure(&error))?;
        if !store.runs().map_err(|error| failure(&error))?.into_iter().all(|run| runs.insert(run)) {
            return Err(failure(&umbra_store::Error::Overlap { file: path.clone() }));
        }
        keys.extend(store.read_one::<KeyFingerprint>(b"").map_err(|error| failure(&error))?);
        let unreadable = restore(&store, &mut inventory, routes)?;
        if unreadable > 0 {
            tell!("umbra: warning: {unreadable} rows of {} cannot be read", path.display());
        }
    }
    if keys.len() > 1 {
        tell!(
            "umbra: warning: these inventories are made with {} fleet keys: a client counts once for each",
            keys.len()
        );
    }
    inventory.settle();
    Ok(inventory)
}

/// What a worker of `run` knows: all of an endpoint since the start.
#[cfg(feature = "live")]
pub(crate) struct Word {
    /// Which worker.
    pub(crate) worker: usize,
    /// Endpoints with traffic since the word before.
    pub(crate) endpoints: Vec<Endpoint>,
    /// What it has learnt of routes, if anybody wants it.
    pub(crate) routes: Option<Routes>,
    /// Documents that services publish, if there are others than the last time.
    pub(crate) definitions: Option<Definitions>,
    /// What it has left out.
    pub(crate) left_out: Counters,
}

/// What `run` knows while it goes on: the newest word of each worker.
#[cfg(feature = "live")]
pub(crate) struct Words {
    /// What earlier runs found; only what is kept builds on it.
    earlier: BTreeMap<Vec<u8>, Endpoint>,
    workers: Vec<BTreeMap<Vec<u8>, Endpoint>>,
    routes: Vec<Option<Routes>>,
    /// Of earlier runs and all workers.
    definitions: Definitions,
    /// Revision of the definitions that is on the disk.
    saved_definitions: u64,
    earlier_left_out: Counters,
    left_out: Vec<Counters>,
    unsaved: BTreeSet<Vec<u8>>,
    untold: BTreeSet<Vec<u8>>,
}

#[cfg(feature = "live")]
impl Words {
    /// For a number of workers, on top of what earlier runs found.
    pub(crate) fn new(earlier: &Inventory, workers: usize) -> Words {
        let definitions = earlier.definitions().clone();
        Words {
            earlier_left_out: *earlier.endpoint_counters(),
            left_out: vec![Counters::default(); workers],
            saved_definitions: definitions.revision(),
            definitions,
            earlier: earlier.endpoints().into_iter().map(|it| (row_key(it), it.clone())).collect(),
            workers: vec![BTreeMap::new(); workers],
            routes: vec![None; workers],
            unsaved: BTreeSet::new(),
            untold: BTreeSet::new(),
        }
    }

    /// Takes a worker's word.
    pub(crate) fn take(&mut self, word: Word) {
        let (Some(known), Some(routes)) = (self.workers.get_mut(word.worker), self.routes.get_mut(word.worker)) else {
            return;
        };
        for endpoint in word.endpoints {
            let key = row_key(&endpoint);
            self.unsaved.insert(key.clone());
            self.untold.insert(key.clone());
            known.insert(key, endpoint);
        }
        *routes = word.routes.or(routes.take());
        if let Some(theirs) = &word.definitions {
            self.definitions.merge(theirs);
        }
        if let Some(known) = self.left_out.get_mut(word.worker) {
            *known = word.left_out;
        }
    }

    /// Writes what has changed since the last time.
    pub(crate) fn save(&mut self, state: &mut State) -> Result<(), Failure> {
        let mut newest = 0;
        let mut write = |store: &mut Store| -> Result<(), umbra_store::Error> {
            let mut writing = store.begin()?;
            for key in &self.unsaved {
                let Some(whole) = self.whole(key, self.earlier.get(key)) else { continue };
                newest = newest.max(whole.last_seen.nanos());
                writing.put::<Endpoints>(key, &whole, whole.last_seen.nanos())?;
            }
            let mut left_out = self.earlier_left_out;
            self.left_out.iter().for_each(|theirs| left_out.merge(theirs));
            writing.put::<LeftOut>(b"", &left_out, newest)?;
            if self.definitions.revision() != self.saved_definitions {
                write_documents(&self.definitions, &mut writing)?;
            }
            writing.commit()
        };
        if !self.unsaved.is_empty() || self.definitions.revision() != self.saved_definitions {
            write(&mut state.store).map_err(|error| failure(&error))?;
            self.unsaved.clear();
            self.saved_definitions = self.definitions.revision();
        }
        Ok(())
    }

    /// Tells the roll-up what has changed since the last time.
    #[cfg(feature = "kafka")]
    pub(crate) fn tell(&mut self, rows: &mut crate::rows::Rows, patience: std::time::Duration) {
        if rows.have_gaps() {
            self.untold = self.workers.iter().flat_map(|known| known.keys().cloned()).collect();
        }
        let changed: Vec<Endpoint> =
            std::mem::take(&mut self.untold).iter().filter_map(|key| self.whole(key, None)).collect();
        let mut routes: Option<Routes> = None;
        for theirs in self.routes.iter().flatten() {
            match &mut routes {
                Some(routes) => routes.merge(theirs),
                None => routes = Some(theirs.clone()),
            }
        }
        rows.tell(&changed.iter().collect::<Vec<_>>(), routes.as_ref(), Some(patience));
    }

    /// What all workers know of an endpoint.
    fn whole(&self, key: &[u8], earlier: Option<&Endpoint>) -> Option<Endpoint> {
        let mut parts = earlier.into_iter().chain(self.workers.iter().filter_map(|known| known.get(key)));
        let mut whole = parts.next()?.clone();
        parts.for_each(|part| whole.merge(part));
        Some(whole)
    }
}

/// The exit code of a store's error.
fn failure(error: &umbra_store::Error) -> Failure {
    use umbra_store::Error;
    let code = match error {
        Error::NoState { .. } => exit::NO_INPUT,
        Error::NewerState { .. } | Error::Overlap { .. } => exit::BAD_DATA,
        Error::Unsafe { .. } => exit::NO_PERMISSION,
        Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => exit::NO_PERMISSION,
        Error::Config { .. } => exit::CONFIG,
        _ => exit::IO,
    };
    Failure::new(code, error)
}
