//! Datagrams that the kernel dropped because our receive buffer was full: the loss that no sender hears of.
//!
//! Linux counts them per socket in the last column of `/proc/net/udp` and `/proc/net/udp6`
//! (<https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html> has the columns they share).

use std::os::fd::AsFd;

/// Follows the count of one socket.
#[derive(Debug)]
pub struct KernelDrops {
    inode: Option<u64>,
    seen: u64,
}

impl KernelDrops {
    /// Starts with the drops of this socket so far, which are none when it is new.
    pub fn of(socket: &impl AsFd) -> KernelDrops {
        KernelDrops { inode: rustix::fs::fstat(socket).ok().map(|status| status.st_ino), seen: 0 }
    }

    /// Drops since the last call; 0 where the kernel does not tell.
    pub fn since_last(&mut self) -> u64 {
        let Some(inode) = self.inode else { return 0 };
        let tables = ["/proc/net/udp", "/proc/net/udp6"];
        let total = tables.iter().find_map(|path| drops_of(&std::fs::read_to_string(path).ok()?, inode));
        let total = total.unwrap_or(self.seen);
        let new = total.saturating_sub(self.seen);
        self.seen = total;
        new
    }
}

/// The drops of the socket with this inode in a table's text.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|row| {
        let ours = row.split_ascii_whitespace().nth(9)?.parse() == Ok(inode);
        row.split_ascii_whitespace().next_back()?.parse().ok().filter(|_| ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_of_our_inodes_row_is_read() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  347: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41753 2 0000000000000000 12
  811: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 11922 2 0000000000000000 0
  torn row";
        let check = |inode, expected| assert_eq!(drops_of(table, inode), expected);
        check(41753, Some(12));
        check(11922, Some(0));
        check(2, None);
    }

    #[test]
    fn datagrams_that_do_not_fit_the_buffer_are_counted() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&socket).set_recv_buffer_size(4_096).unwrap();
        let mut drops = KernelDrops::of(&socket);
        assert_eq!(drops.since_last(), 0);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..200 {
            sender.send_to(&[b'x'; 1_000], socket.local_addr().unwrap()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let mut received = 0;
        while socket.recv(&mut [0; 2_000]).is_ok() {
            received += 1;
        }
        assert_eq!(received + drops.since_last(), 200);
        assert_eq!(drops.since_last(), 0);
    }
}
