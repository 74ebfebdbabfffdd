//! Certificates: the server's, the clients', new ones and broken ones.

use super::authority::Authority;
use super::*;
use rcgen::SanType;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

#[tokio::test]
async fn a_client_is_whom_its_certificate_names() {
    let authority = Authority::new();
    let settings =
        Server { client_ca: Some(authority.write("clients.crt", authority.pem())), ..authority.settings() };
    let house = House::open(&settings).await;
    let lamp = authority.client(&["lamp"], Vec::new());
    for shown in [Some(&lamp), None] {
        let mut stream = client::tls(house.address(), client::config(&authority, shown)).await.unwrap();
        assert!(is_echoed(&mut stream).await);
    }
    assert_eq!(house.guests(), ["Tls Some(\"lamp\") true", "Tls None true"]);

    let stranger = Authority::new().client(&["lamp"], Vec::new());
    let nameless = authority.client(&[], Vec::new());
    for shown in [&stranger, &nameless] {
        let config = client::config(&authority, Some(shown));
        if let Ok(mut stream) = client::tls(house.address(), config).await {
            assert!(!is_echoed(&mut stream).await);
        }
    }
    house.wait_for(|status| status.handshakes_failed == 2).await;
    assert_eq!(house.guests().len(), 2);
}

#[test]
fn names_in_certificates() {
    let authority = Authority::new();
    let check = |common_names: &[&str], alternatives: Vec<SanType>, expected: Result<&str, &str>| {
        let issued = authority.client(common_names, alternatives);
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
        let found = identity::name(&certificate).map_err(|why| format!("{why:?}"));
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "for {common_names:?}");
    };
    let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let uri = |name: &str| SanType::URI(name.try_into().unwrap());
    check(&["lamp"], vec![], Ok("lamp"));
    check(&["Küchenlampe"], vec![dns("other.example")], Ok("Küchenlampe"));
    check(&[], vec![dns("lamp.example"), dns("other.example")], Ok("lamp.example"));
    check(&[], vec![uri("urn:lamp")], Ok("urn:lamp"));
    check(&[], vec![], Err("Missing"));
    check(&["a", "b"], vec![], Err("Ambiguous"));
    check(&[""], vec![dns("lamp.example")], Err("Unusable"));
    for name in ["a/b", "+", "#", "a\0b", "a\nb"] {
        check(&[name], vec![], Err("Unusable"));
    }
    check(&[], vec![dns("*.home.example")], Err("Unusable"));
    check(&[&"a".repeat(300)], vec![], Err("Unusable"));
}

#[test]
fn a_broken_certificate_is_no_panic() {
    let authority = Authority::new();
    let issued = authority.client(&["lamp"], vec![SanType::DnsName("lamp.example".try_into().unwrap())]);
    let whole = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap().to_vec();
    let mut named = 0;
    for place in 0..whole.len() {
        for byte in [0x00, 0x01, 0x7f, 0x80, 0x82, 0xff] {
            let mut broken = whole.clone();
            broken[place] = byte;
            named += usize::from(identity::name(&broken.into()).is_ok());
        }
        assert!(identity::name(&whole[..place].into()).is_err());
    }
    assert!(named > 0, "most of a certificate is not about the name");
}

#[tokio::test]
async fn new_certificates_are_for_new_connections() {
    let authority = Authority::new();
    let house = House::open(&authority.settings()).await;
    let config = client::config(&authority, None);
    let mut old = client::tls(house.address(), config.clone()).await.unwrap();
    assert!(is_echoed(&mut old).await);
    let shown = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    authority.renew();
    house.certificates.as_ref().unwrap().reload().unwrap();
    let mut new = client::tls(house.address(), config.clone()).await.unwrap();
    assert!(is_echoed(&mut new).await && is_echoed(&mut old).await);
    assert_ne!(shown(&new), shown(&old));

    // The new certificate came, its key did not.
    authority.write("mqtt.crt", &authority.server().certificate);
    let error = house.certificates.as_ref().unwrap().reload().unwrap_err();
    assert!(matches!(error, Error::Certificate { .. }), "{error:?}");
    let mut newer = client::tls(house.address(), config).await.unwrap();
    assert!(is_echoed(&mut newer).await);
    assert_eq!(shown(&newer), shown(&new), "the certificate before stays");
}

#[tokio::test]
async fn errors_name_the_address_or_the_file() {
    let authority = Authority::new();
    let good = authority.settings();
    let bind = async |settings: Server| {
        let error = Listeners::bind(&settings).await.map(drop).unwrap_err();
        error.to_string().replace(&authority.folder().display().to_string(), "DIR")
    };
    let taken = tokio::net::TcpListener::bind(any_port()).await.unwrap().local_addr().unwrap();
    let _holder = tokio::net::TcpListener::bind(taken).await.unwrap();
    assert_eq!(
        bind(Server { websocket_listen: vec![taken], ..good.clone() }).await,
        format!(
            "cannot listen for MQTT on {taken}: is another broker running? choose another mqtt.server.websocket_listen"
        )
    );
    assert_eq!(
        bind(Server { certificate: None, ..good.clone() }).await,
        "cannot listen for MQTT on 127.0.0.1:0: set mqtt.server.certificate and mqtt.server.key"
    );
    assert_eq!(
        bind(Server { key: Some(authority.path("none.key")), ..good.clone() }).await,
        "cannot read DIR/none.key, which mqtt.server.key names"
    );
    assert_eq!(
        bind(Server { key: good.certificate.clone(), ..good.clone() }).await,
        "DIR/mqtt.crt, which mqtt.server.key names, is not a PEM file with a private key without a password"
    );
    assert_eq!(
        bind(Server { client_ca: Some(authority.write("ca.crt", "nothing\n")), ..good.clone() }).await,
        "DIR/ca.crt, which mqtt.server.client_ca names, is not a PEM file with a certificate"
    );
    let other = authority.write("other.key", &authority.server().key);
    assert_eq!(
        bind(Server { key: Some(other), ..good }).await,
        "the certificate in DIR/mqtt.crt and the key in DIR/other.key can not be used: do they belong together?"
    );
}
