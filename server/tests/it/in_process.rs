//! Claims about the library: the real thing, started inside another program.

use std::time::Duration;

use hubbub_server::app::App;
use hubbub_server::config::{Config, Sources};
use tokio::net::{TcpListener, TcpStream};

fn config() -> Config {
    config_at("127.0.0.1:0")
}

fn config_at(address: &str) -> Config {
    let sources = Sources::default().flag("--listen", "listen", address).flag("--store", "store", "memory");
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

#[tokio::test]
async fn a_port_that_is_let_go_meanwhile_is_waited_for() {
    let before = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = before.local_addr().unwrap();
    let config = config_at(&address.to_string());
    // In this order: the first try meets the one before, which goes then.
    let (started, ()) = tokio::join!(biased; App::start(&config), async { drop(before) });
    let app = started.expect("a port that is free again is taken");
    assert_eq!(app.address(), address);
    app.stop(Duration::from_secs(5)).await.unwrap();
}
