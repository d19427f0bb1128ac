//! How many datagrams the kernel dropped because a socket's buffer was full.

use std::net::SocketAddr;

/// The `drops` column of `/proc/net/udp` and `udp6` for the sockets bound to this port (Linux, `man 5 proc_net`); none where that
/// cannot be read.
pub(super) fn dropped(address: SocketAddr) -> Option<u64> {
    let path = if address.is_ipv4() { "/proc/net/udp" } else { "/proc/net/udp6" };
    Some(sum_of_drops(&std::fs::read_to_string(path).ok()?, address.port()))
}

fn sum_of_drops(table: &str, port: u16) -> u64 {
    let port = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter(|line| line.split_ascii_whitespace().nth(1).is_some_and(|local| local.ends_with(&port)))
        .filter_map(|line| line.split_ascii_whitespace().next_back()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_of_the_right_socket_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 8811 2 0000000000000000 42
  101: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 8812 2 0000000000000000 7
";
        assert_eq!(sum_of_drops(table, 5514), 42);
        assert_eq!(sum_of_drops(table, 8125), 7);
        assert_eq!(sum_of_drops(table, 1), 0);
        assert_eq!(sum_of_drops("", 1), 0);
    }
}
