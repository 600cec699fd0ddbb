//! Claims about the library: the real thing, started inside another program.

use std::time::Duration;

use hubbub_server::app::App;
use hubbub_server::config::{Config, Sources};
use tokio::net::TcpStream;

fn config() -> Config {
    let sources = Sources::default().flag("--listen", "listen", "127.0.0.1:0").flag("--store", "store", "memory");
    Config::load(sources).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn two_start_beside_each_other_on_ports_of_their_own_and_stop() {
    let first = App::start(&config()).await.unwrap();
    let second = App::start(&config()).await.unwrap();
    assert_ne!(first.url(), second.url());
    let (gone, still) = (first.address(), second.address());
    first.stop(Duration::from_secs(5)).await.unwrap();
    TcpStream::connect(gone).await.expect_err("nobody listens there any more");
    TcpStream::connect(still).await.expect("the other goes on");
    second.stop(Duration::from_secs(5)).await.unwrap();
}
