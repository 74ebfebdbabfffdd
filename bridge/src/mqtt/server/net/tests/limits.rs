//! Who gets a place, who has to go, and what one client can do to others.

use super::*;

#[tokio::test]
async fn a_silent_client_holds_up_nobody() {
    let authority = authority::Authority::new();
    let settings = Server {
        websocket_listen: vec![any_port()],
        websocket_tls_listen: vec![any_port()],
        ..authority.settings()
    };
    let house = House::open(&settings).await;
    let mut silent = Vec::new();
    for (_, address) in &house.addresses {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    house.wait_for(|status| status.accepted == 3).await;
    let config = client::config(&authority, None);
    let mut tls = client::tls(house.addresses[0].1, config.clone()).await.unwrap();
    assert!(is_echoed(&mut tls).await);
    let answer = client::websocket(house.addresses[1].1, "mqtt", |mut socket| {
        socket.send(tungstenite::Message::binary(&b"word"[..])).unwrap();
        socket.read().unwrap()
    });
    assert_eq!(answer.await.unwrap(), tungstenite::Message::binary(&b"word"[..]));
    let answer = client::secure_websocket(house.addresses[2].1, config).await;
    assert_eq!(answer, tungstenite::Message::binary(&b"word"[..]));
}

#[tokio::test]
async fn handshakes_have_a_deadline() {
    let authority = authority::Authority::new();
    let settings = Server { websocket_listen: vec![any_port()], ..authority.settings() };
    let house = House::open_with(&settings, |listeners| {
        listeners.reception.connect_timeout = Duration::from_millis(20);
    });
    let house = house.await;
    for (_, address) in &house.addresses {
        let mut silent = TcpStream::connect(address).await.unwrap();
        is_closed(&mut silent).await;
    }
    house.wait_for(|status| status.handshakes_failed == 2 && status.open == 0).await;
    assert_eq!(house.guests(), [""; 0]);
}

#[tokio::test]
async fn the_deadline_is_handed_on() {
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let listeners = Listeners::bind(&Server { connect_timeout_s: 77, ..settings() }).await.unwrap();
    let (_, address) = listeners.addresses().next().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let before = Instant::now();
    tokio::spawn(listeners.run(stopped, move |accepted| {
        let told = told.clone();
        async move { told.send(accepted).await.unwrap() }
    }));
    let client = TcpStream::connect(address).await.unwrap();
    let accepted = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    let patience = Duration::from_secs(77);
    assert!(accepted.deadline >= before + patience && accepted.deadline <= Instant::now() + patience);
    assert_eq!((accepted.peer, accepted.local), (client.local_addr().unwrap(), address));
}

#[tokio::test]
async fn an_address_has_so_many_places() {
    let house = House::open(&Server { max_connections_per_address: 2, ..settings() }).await;
    let mut guests = [known(house.address()).await, known(house.address()).await];
    let mut third = TcpStream::connect(house.address()).await.unwrap();
    is_closed(&mut third).await;
    assert!(is_echoed(&mut guests[0]).await && is_echoed(&mut guests[1]).await);
    let status = house.status.status();
    assert_eq!((status.refused_address, status.refused_total, status.open), (1, 0, 2));
    let [left, _stays] = guests;
    drop(left);
    house.wait_for(|status| status.open == 1).await;
    known(house.address()).await;
}

#[tokio::test]
async fn the_node_has_so_many_places() {
    let house =
        House::open(&Server { max_connections: 2, max_connections_per_address: 2, ..settings() }).await;
    // Every address of 127/8 is this machine.
    let _guest = known(house.address()).await;
    let mut other = from([127, 0, 0, 2], house.address()).await;
    assert!(is_echoed(&mut other).await);
    let mut third = from([127, 0, 0, 3], house.address()).await;
    is_closed(&mut third).await;
    let status = house.status.status();
    assert_eq!((status.refused_address, status.refused_total, status.open), (0, 1, 2));
}

async fn from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn strangers_give_way_to_newcomers() {
    let house = House::open(&Server { max_connections_per_address: 3, ..settings() }).await;
    let mut guest = known(house.address()).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(TcpStream::connect(house.address()).await.unwrap());
    }
    let mut newcomer = known(house.address()).await;
    is_closed(&mut strangers[0]).await;
    assert!(is_echoed(&mut guest).await && is_echoed(&mut newcomer).await);
    house.wait_for(|status| status.displaced == 19).await;
    let status = house.status.status();
    assert_eq!((status.refused_address, status.open), (0, 3));
}

#[tokio::test]
async fn a_panic_ends_one_connection() {
    let house = House::open(&settings()).await;
    let mut other = known(house.address()).await;
    for _ in 0..2 {
        let mut victim = known(house.address()).await;
        victim.write_all(b"panic").await.unwrap();
        is_closed(&mut victim).await;
    }
    house.wait_for(|status| status.panicked == 2 && status.open == 1).await;
    assert!(is_echoed(&mut other).await);
    known(house.address()).await;
}

#[tokio::test]
async fn a_stop_waits_for_guests_and_not_for_strangers() {
    let house = House::open(&settings()).await;
    let mut guest = known(house.address()).await;
    let mut stranger = TcpStream::connect(house.address()).await.unwrap();
    house.wait_for(|status| status.open == 2).await;
    house.stop.send_replace(true);
    is_closed(&mut stranger).await;
    assert!(is_echoed(&mut guest).await);
    assert!(TcpStream::connect(house.address()).await.is_err(), "nobody listens any more");
    drop(guest);
    timeout(PATIENCE, house.running).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_end_with_their_listeners() {
    let house = House::open(&settings()).await;
    let mut guest = known(house.address()).await;
    house.running.abort();
    is_closed(&mut guest).await;
}

#[test]
fn only_the_systems_want_makes_a_pause() {
    let concerns = |code| concerns_one(&io::Error::from_raw_os_error(code));
    // EMFILE, ENFILE, ENOMEM; ECONNABORTED.
    assert_eq!([24, 23, 12, 103].map(concerns), [false, false, false, true]);
}
