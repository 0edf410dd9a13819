//! The real disk: locks, links, owners.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use umbra_store::{Class, Config, Disk, Error, Spool};

/// A directory of one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("umbra-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path) -> Spool<Disk> {
    Spool::open(Disk::open(path).unwrap(), Config::default()).unwrap().0
}

fn first_value(spool: &mut Spool<Disk>) -> Vec<u8> {
    spool.next(Class::Event).unwrap().unwrap().value.to_vec()
}

#[test]
fn f095_a_second_instance_is_refused_and_a_stale_lock_is_not_in_the_way() {
    let scratch = Scratch::new("f095");
    let directory = scratch.join("spool");
    let mut spool = open(&directory);
    spool.append(Class::Event, b"", b"first", 0).unwrap();
    spool.sync().unwrap();
    let error = Disk::open(&directory).unwrap_err();
    assert!(matches!(error, Error::Locked { process: Some(id), .. } if id == std::process::id()), "{error}");
    assert!(error.to_string().contains("is in use by process"), "{error}");
    assert_eq!(first_value(&mut spool), b"first");
    // As after a kill: the file stays, the lock does not.
    drop(spool);
    fs::write(directory.join("lock"), "999999999\n").unwrap();
    assert_eq!(first_value(&mut open(&directory)), b"first");
}

#[test]
fn f089_no_link_is_followed() {
    let scratch = Scratch::new("f089");
    let directory = scratch.join("spool");
    let mut spool = open(&directory);
    spool.append(Class::Event, b"", b"first", 0).unwrap();
    spool.close();
    let target = scratch.join("of somebody else");
    fs::write(&target, "precious").unwrap();

    // In place of a segment to come, of the checkpoint, and with a second name.
    fs::remove_file(directory.join("checkpoint")).unwrap();
    symlink(&target, directory.join("checkpoint")).unwrap();
    symlink(&target, directory.join("finding-00000000000000000001.seg")).unwrap();
    fs::hard_link(&target, directory.join("health-00000000000000000001.seg")).unwrap();
    fs::create_dir(directory.join("endpoint-00000000000000000001.seg")).unwrap();
    let (mut spool, opened) = Spool::open(Disk::open(&directory).unwrap(), Config::default()).unwrap();
    assert_eq!(opened.set_aside.len(), 4, "{opened:?}");
    assert_eq!(first_value(&mut spool), b"first");
    for class in Class::ALL {
        spool.append(class, b"", b"more", 0).unwrap();
    }
    spool.sync().unwrap();
    spool.close();
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert!(fs::symlink_metadata(directory.join("checkpoint.1.aside")).unwrap().is_symlink());

    // A lock file that is a link, and a directory that is one.
    fs::remove_file(directory.join("lock")).unwrap();
    symlink(&target, directory.join("lock")).unwrap();
    assert!(Disk::open(&directory).is_err());
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    symlink(&directory, scratch.join("link")).unwrap();
    assert!(matches!(Disk::open(&scratch.join("link")), Err(Error::Unsafe { .. })));
}

#[test]
fn f089_a_directory_that_others_can_write_to_is_refused() {
    let scratch = Scratch::new("f089-mode");
    let directory = scratch.join("spool");
    fs::create_dir(&directory).unwrap();
    for mode in [0o777, 0o770, 0o1777] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        let error = Disk::open(&directory).unwrap_err();
        assert!(matches!(error, Error::Unsafe { .. }), "{mode:o}: {error}");
    }
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).unwrap();
    open(&directory).close();
    let file = scratch.join("file");
    fs::write(&file, "").unwrap();
    assert!(Disk::open(&file).is_err());
}

#[test]
fn what_is_made_can_be_read_by_this_user_only() {
    let scratch = Scratch::new("mode");
    let directory = scratch.join("deep/spool");
    let mut spool = open(&directory);
    spool.append(Class::Event, b"", b"first", 0).unwrap();
    spool.close();
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o077, 0);
    }
}
