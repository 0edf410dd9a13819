//! The system calls that libpcap and std do not offer. All `unsafe` of this crate is here.
#![allow(unsafe_code)]
#![cfg_attr(not(feature = "live"), allow(dead_code))]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The result of a call that gives -1 on failure.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn set_packet_option<T: Copy>(fd: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is readable for `length` bytes during the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_PACKET, option, (value as *const T).cast(), length) })?;
    Ok(())
}

// <linux/if_packet.h>; the libc crate has not all of them for every target.
const PACKET_FANOUT: libc::c_int = 18;
const PACKET_FANOUT_FLAG_UNIQUEID: u32 = 0x2000;
const PACKET_FANOUT_FLAG_DEFRAG: u32 = 0x8000;

/// Puts a packet socket into fanout group `group`, spreading by flow hash (`PACKET_FANOUT_HASH` is 0; both directions of a
/// flow hash alike). Without a group the kernel makes one nobody else has. Gives the group.
pub(crate) fn join_fanout(fd: BorrowedFd<'_>, group: Option<u16>) -> io::Result<u16> {
    let unique = if group.is_none() { PACKET_FANOUT_FLAG_UNIQUEID } else { 0 };
    // Fragments are put together before hashing, or the later ones would go to another worker.
    let value = u32::from(group.unwrap_or(0)) | (PACKET_FANOUT_FLAG_DEFRAG | unique) << 16;
    set_packet_option(fd, PACKET_FANOUT, &value)?;
    if let Some(group) = group {
        return Ok(group);
    }
    let mut given: u32 = 0;
    let mut length = size_of::<u32>() as libc::socklen_t;
    // SAFETY: `given` is writable for the `length` bytes announced.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_PACKET, PACKET_FANOUT, (&raw mut given).cast(), &raw mut length)
    })?;
    Ok((given & 0xffff) as u16)
}

/// Binds a packet socket to another interface; needs no rights, keeps the ring. Fails in a fanout group.
pub(crate) fn bind_packet(fd: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    // SAFETY: all bytes zero is a valid address.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = interface as libc::c_int;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` is a packet address of `length` bytes.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })?;
    Ok(())
}

/// Makes the interface promiscuous for as long as the socket is open; needs no rights.
pub(crate) fn make_promiscuous(fd: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    // SAFETY: all bytes zero is a valid request.
    let mut request: libc::packet_mreq = unsafe { zeroed() };
    request.mr_ifindex = interface as libc::c_int;
    request.mr_type = libc::PACKET_MR_PROMISC as u16;
    set_packet_option(fd, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Makes a socket take no packets, until another filter is attached.
pub(crate) fn reject_all(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut code = [libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: 0 }]; // ret #0
    let program = libc::sock_fprog { len: 1, filter: code.as_mut_ptr() };
    let length = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the kernel copies the program, whose one instruction is alive, during the call.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, (&raw const program).cast(), length)
    })?;
    Ok(())
}

/// Index of an interface, if there is one of that name.
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` ends with a NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    (index != 0).then_some(index)
}

/// Name of an interface, if it still exists.
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let mut name = [0 as libc::c_char; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that `if_indextoname` asks for.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the call succeeded, so the buffer holds a string that ends with a NUL.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Some(name.to_string_lossy().into_owned())
}

/// Whether an interface is up, and its hardware type (`ARPHRD_*`).
pub(crate) fn interface_state(name: &str) -> io::Result<(bool, u16)> {
    // SAFETY: all bytes zero is a valid request.
    let mut request: libc::ifreq = unsafe { zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the request names an interface and lives during the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) })?;
    // SAFETY: SIOCGIFFLAGS filled this member.
    let up = i32::from(unsafe { request.ifr_ifru.ifru_flags }) & libc::IFF_UP != 0;
    // SAFETY: as above.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCGIFHWADDR as _, &raw mut request) })?;
    // SAFETY: SIOCGIFHWADDR filled this member.
    let hardware = unsafe { request.ifr_ifru.ifru_hwaddr.sa_family };
    Ok((up, hardware))
}

/// A counter that wakes a poll when written.
pub(crate) fn event() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until one of the descriptors can be read or failed, at most `milliseconds`. An interruption counts as a timeout.
pub(crate) fn wait(waits: &mut [libc::pollfd], milliseconds: i32) -> io::Result<()> {
    // SAFETY: pointer and length are those of the slice.
    match check(unsafe { libc::poll(waits.as_mut_ptr(), waits.len() as libc::nfds_t, milliseconds) }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// The error waiting at a socket, if any; it waits no longer then.
pub(crate) fn take_socket_error(fd: BorrowedFd<'_>) -> Option<io::Error> {
    let mut code: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `code` is writable for the `length` bytes announced.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut code).cast(), &raw mut length)
    };
    (result == 0 && code != 0).then(|| io::Error::from_raw_os_error(code))
}

/// User id and primary group of a user of the system.
pub(crate) fn user(name: &str) -> io::Result<Option<(u32, u32)>> {
    let name = CString::new(name)?;
    let mut buffer = vec![0 as libc::c_char; 16 * 1024];
    // SAFETY: all bytes zero is a valid value to be overwritten.
    let mut entry: libc::passwd = unsafe { zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: all pointers are valid, and `buffer` is as long as announced.
    let failed =
        unsafe { libc::getpwnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found) };
    match failed {
        0 if found.is_null() => Ok(None),
        0 => Ok(Some((entry.pw_uid, entry.pw_gid))),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

/// Sets group and user for good, in all threads (libc does it in each), with no supplementary groups.
pub(crate) fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no groups are read with a length of 0.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresuid(uid, uid, uid) })?;
    Ok(())
}

fn control(option: libc::c_int, argument: u32) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options used here take numbers only.
    check(unsafe { libc::prctl(option, libc::c_ulong::from(argument), zero, zero, zero) })?;
    Ok(())
}

/// Keeps the permitted capabilities over the change of user.
pub(crate) fn keep_capabilities(keep: bool) -> io::Result<()> {
    control(libc::PR_SET_KEEPCAPS, u32::from(keep))
}

/// Takes a capability out of what any program started from here can get. False past the last capability.
pub(crate) fn drop_bounding(capability: u32) -> io::Result<bool> {
    match control(libc::PR_CAPBSET_DROP, capability) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        other => other.map(|()| true),
    }
}

/// No program started from here gets more rights than this process.
pub(crate) fn no_new_privileges() -> io::Result<()> {
    control(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// `CAP_NET_RAW`: packet sockets.
pub(crate) const CAP_NET_RAW: u32 = 13;

/// Sets the effective and permitted capabilities of this thread to `mask`, and the inheritable and ambient ones to none.
pub(crate) fn set_capabilities(mask: u32) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // _LINUX_CAPABILITY_VERSION_3: 64 bits in two parts, low one first.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let sets = [
        Sets { effective: mask, permitted: mask, inheritable: 0 },
        Sets { effective: 0, permitted: 0, inheritable: 0 },
    ];
    // SAFETY: the structures are laid out as capset(2) says for version 3 and live during the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) };
    check(result as libc::c_int)?;
    Ok(())
}
