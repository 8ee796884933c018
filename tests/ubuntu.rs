//! scratch
mod support;
use support::archive::*;
#[test]
fn scratch() {
    let a = Archive::open().unwrap();
    let m = support::mirror::Mirror::start(&a.port_note());
    m.serve(a.root(State::Now));
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let w: Vec<&str> = line.split(' ').collect();
        let st = |n: &str| {
            a.root(match n {
                "now" => State::Now,
                "later" => State::Later,
                "expired" => State::Expired,
                "tampered" => State::Tampered,
                _ => State::Foreign,
            })
        };
        match w[0] {
            "serve" => m.serve(st(w[1])),
            "fail" => m.fail(w[1], w[2].parse().unwrap(), w[3].parse().unwrap()),
            "turn" => m.turn_at(w[1], st(w[2])),
            _ => eprintln!("asked {}", m.asked(w[1])),
        }
    }
}
