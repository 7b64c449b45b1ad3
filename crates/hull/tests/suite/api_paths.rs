//! docs/api.md says which of docker's endpoints there are; here each of them is asked.

use hull_testkit::{Answer, Host};

/// Method, path, and what the page says of it.
fn page() -> Vec<(String, String, String)> {
    let text = include_str!("../../../../docs/api.md");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| `")).map(cells);
    let mut all = Vec::new();
    for row in rows {
        let path = row[0].trim_matches('`').to_owned();
        for method in row[1].split(' ') {
            all.push((method.to_owned(), path.clone(), row[2].clone()));
        }
    }
    all
}

/// The request with names of nothing, and what it needs so as not to wait or to leave the machine.
fn asked(path: &str) -> String {
    let path = path.replace("{id}", "nosuch").replace("/distribution/{name}", "/distribution/127.0.0.1:1/nosuch");
    let path = path.replace("{name}", "nosuch");
    let query = match path.as_str() {
        "/events" => "?until=1",
        "/images/create" => "?fromImage=127.0.0.1:1/nosuch&tag=x",
        "/images/search" => "?term=127.0.0.1:1/nosuch",
        "/images/get" => "?names=nosuch",
        _ => "",
    };
    format!("/v1.56{path}{query}")
}

/// Nobody knows the path, or not with this method.
fn is_unknown(answer: &Answer) -> bool {
    answer.status == 405 || answer.status == 404 && answer.message().starts_with("page not found")
}

#[test]
fn every_endpoint_of_the_page_answers_as_it_says() {
    let host = Host::new();
    let rows = page();
    assert!(rows.len() > 100, "the page has docker's endpoints: {}", rows.len());
    for (method, path, state) in rows {
        let body = match (method.as_str(), path.as_str()) {
            ("GET" | "HEAD" | "DELETE", _) | (_, "/images/load" | "/build") => None,
            (_, "/auth") => Some(r#"{"serveraddress": "127.0.0.1:1"}"#),
            _ => Some("{}"),
        };
        let answer = host.api(&method, &asked(&path), body);
        let told = format!("{method} {path} is `{state}`, and answers {answer:?}");
        assert!(answer.status != 0 && !is_unknown(&answer), "{told}");
        match state.split(':').next().unwrap_or_default() {
            "yes" | "partly" => assert_ne!(answer.status, 501, "{told}"),
            "no swarm" | "no plugins" => assert!([200, 404, 501, 503].contains(&answer.status), "{told}"),
            "not yet" => assert_eq!(answer.status, 501, "{told}"),
            other => panic!("{path} is `{other}`, which is none of the page's words"),
        }
    }
    for (method, path) in [("GET", "/nosuch"), ("GET", "/containers/nosuch/nosuch"), ("PUT", "/info")] {
        let answer = host.api(method, path, None);
        assert!(is_unknown(&answer), "{method} {path}: {answer:?}");
    }
}
