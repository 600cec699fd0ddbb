//! What runs already: who listens at a port, as `/proc` tells it.

use std::fs;
use std::net::SocketAddr;

/// The process that listens at this port, if it is on this machine and can be seen.
pub(super) fn listener(address: SocketAddr) -> Option<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| inode(&fs::read_to_string(table).ok()?, address.port()))?;
    let socket = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        open.any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str())).then_some(pid)
    })
}

/// The inode of the socket that listens at this port, in a table of TCP sockets.
fn inode(table: &str, port: u16) -> Option<u64> {
    /// The state of a socket that listens.
    const LISTENS: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let at = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
        (at == port && *fields.get(3)? == LISTENS).then_some(())?;
        fields.get(9)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_who_listens_is_found_and_nobody_who_only_talks() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(listener(address), Some(std::process::id()));
        assert_eq!(listener(client.local_addr().unwrap()), None);
    }
}
