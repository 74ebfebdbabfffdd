//! Bytes by every way.

use super::*;
use tungstenite::{Error as WebSocketError, Message};

fn with_websocket() -> Server {
    Server { listen: Vec::new(), websocket_listen: vec![any_port()], ..Server::default() }
}

#[tokio::test]
async fn every_way_carries_bytes() {
    let authority = authority::Authority::new();
    let settings = Server {
        listen: vec![any_port(), any_port()],
        websocket_listen: vec![any_port()],
        websocket_tls_listen: vec![any_port()],
        ..authority.settings()
    };
    let house = House::open(&settings).await;
    let config = client::config(&authority, None);
    for (transport, address) in house.addresses.clone() {
        match transport {
            Transport::Tcp => assert!(is_echoed(&mut known(address).await).await),
            Transport::Tls => {
                assert!(is_echoed(&mut client::tls(address, config.clone()).await.unwrap()).await);
            }
            Transport::WebSocket => {
                let answer = client::websocket(address, "mqtt", |mut socket| {
                    socket.send(Message::binary(&b"word"[..])).unwrap();
                    socket.read().unwrap()
                });
                assert_eq!(answer.await.unwrap(), Message::binary(&b"word"[..]));
            }
            Transport::SecureWebSocket => {
                let answer = client::secure_websocket(address, config.clone()).await;
                assert_eq!(answer, Message::binary(&b"word"[..]));
            }
        }
    }
    let expected = [
        "Tcp None true",
        "Tcp None true",
        "Tls None true",
        "WebSocket None false",
        "SecureWebSocket None false",
    ];
    assert_eq!(house.guests(), expected);
}

#[tokio::test]
async fn borders_of_frames_mean_nothing() {
    let house = House::open(&with_websocket()).await;
    let heard = client::websocket(house.address(), "mqtt", |mut socket| {
        let mut heard = Vec::new();
        for part in [&b"a"[..], b"", b"bc", b"defg"] {
            socket.send(Message::binary(part.to_vec())).unwrap();
            socket.send(Message::Ping("still there?".into())).unwrap();
        }
        while heard.len() < 7 {
            if let Message::Binary(bytes) = socket.read().unwrap() {
                heard.extend_from_slice(&bytes);
            }
        }
        heard
    });
    assert_eq!(heard.await.unwrap(), b"abcdefg");
}

#[tokio::test]
async fn much_goes_both_ways_at_once() {
    const BYTES: usize = 3 << 20;
    let house = House::open(&with_websocket()).await;
    let address = house.address();
    let echoed = tokio::task::spawn_blocking(move || {
        let stream = std::net::TcpStream::connect(address).unwrap();
        let uri = format!("ws://{address}/").parse().unwrap();
        let request = tungstenite::ClientRequestBuilder::new(uri).with_sub_protocol("mqtt");
        let (mut writer, _) = tungstenite::client(request, stream.try_clone().unwrap()).unwrap();
        let mut reader =
            tungstenite::WebSocket::from_raw_socket(stream, tungstenite::protocol::Role::Client, None);
        // Reads only when all is sent, so that the server's socket is full long before.
        let sender = std::thread::spawn(move || {
            for number in 0..BYTES / (16 << 10) {
                writer.send(Message::binary(vec![number as u8; 16 << 10])).unwrap();
            }
        });
        let mut heard = Vec::new();
        while heard.len() < BYTES {
            heard.extend_from_slice(&reader.read().unwrap().into_data());
        }
        sender.join().unwrap();
        heard
    });
    let heard = timeout(PATIENCE, echoed).await.unwrap().unwrap();
    assert!(heard.chunks(16 << 10).enumerate().all(|(number, part)| part.iter().all(|b| *b == number as u8)));
}

/// Says what ends the connection, after some words if they shall be answered before.
async fn ends(first: bool, message: Message) -> Option<u16> {
    let house = House::open(&with_websocket()).await;
    let code = client::websocket(house.address(), "mqtt", move |mut socket| {
        if first {
            socket.send(Message::binary(&b"word"[..])).unwrap();
            socket.read().unwrap();
        }
        // The server may have closed before all of a large one is gone.
        let _ = socket.send(message);
        loop {
            match socket.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| u16::from(frame.code)),
                Ok(Message::Binary(bytes)) if bytes.len() < 64 << 10 => {}
                Ok(other) => panic!("the server sent {} bytes back", other.len()),
                Err(WebSocketError::Io(_)) => return None,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let code = code.await.unwrap();
    house.wait_for(|status| status.open == 0).await;
    code
}

#[tokio::test]
async fn text_frames_end_the_connection() {
    assert_eq!(ends(false, Message::text("word")).await, Some(1003));
    assert_eq!(ends(true, Message::text("word")).await, Some(1003));
}

#[tokio::test]
async fn frames_above_the_limit_end_the_connection() {
    let large = |bytes: usize| Message::binary(vec![0; bytes]);
    // The rest of the frame is never read, so the close may be lost in the reset that follows.
    assert!(matches!(ends(false, large(65 << 10)).await, None | Some(1009)));
    assert!(matches!(ends(true, large((1 << 20) + 1)).await, None | Some(1009)));
}

#[tokio::test]
async fn frames_may_be_larger_once_the_server_has_spoken() {
    let house = House::open(&with_websocket()).await;
    let heard = client::websocket(house.address(), "mqtt", |mut socket| {
        socket.send(Message::binary(&b"word"[..])).unwrap();
        socket.read().unwrap();
        socket.send(Message::binary(vec![7; 1 << 20])).unwrap();
        let mut heard = 0;
        while heard < 1 << 20 {
            heard += socket.read().unwrap().len();
        }
        heard
    });
    assert_eq!(heard.await.unwrap(), 1 << 20);
}

#[tokio::test]
async fn the_subprotocol_must_be_mqtt() {
    let house = House::open(&with_websocket()).await;
    let agreed = |protocol| client::websocket(house.address(), protocol, |_| ());
    assert_eq!(agreed("mqtt").await, Ok(()));
    assert_eq!(agreed("mqttv3.1").await, Ok(()));
    for protocol in ["", "chat", "mqtt5"] {
        assert_eq!(agreed(protocol).await, Err("HTTP error: 400 Bad Request".to_owned()), "{protocol}");
    }
    house.wait_for(|status| status.handshakes_failed == 3).await;
}

/// Sends raw bytes to a WebSocket listener and returns the answer's first line.
async fn answer_to(request: &[u8]) -> String {
    let house = House::open(&with_websocket()).await;
    let mut stream = TcpStream::connect(house.address()).await.unwrap();
    // It may be refused before its end.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    house.wait_for(|status| status.open == 0 && status.handshakes_failed == 1).await;
    String::from_utf8(answer).unwrap().lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn who_does_not_speak_websocket_is_told() {
    let refused = "HTTP/1.1 400 Bad Request";
    assert_eq!(answer_to(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await, refused);
    assert_eq!(answer_to(b"POST / HTTP/1.1\r\nHost: here\r\n\r\n").await, refused);
    assert_eq!(answer_to(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd\r\n\r\n").await, refused);
    let mut endless = b"GET / HTTP/1.1\r\nCookie: ".to_vec();
    endless.resize(8 << 10, b'a');
    assert_eq!(answer_to(&endless).await, refused);
}

#[tokio::test]
async fn a_close_is_answered() {
    let house = House::open(&with_websocket()).await;
    let closed = client::websocket(house.address(), "mqtt", |mut socket| {
        socket.send(Message::binary(&b"word"[..])).unwrap();
        socket.read().unwrap();
        socket.close(None).unwrap();
        loop {
            if let Err(error) = socket.read() {
                return matches!(error, WebSocketError::ConnectionClosed);
            }
        }
    });
    assert!(closed.await.unwrap());
    house.wait_for(|status| status.open == 0).await;
}
