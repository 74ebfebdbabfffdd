//! The rules of holding an address, as scripts of what a node sees.

use super::*;
use std::fmt::Write;

const LEASE: Duration = Duration::from_millis(200);

/// Plays `script` and compares what is ordered. A line is `MS term TERM [proved MS] [fails | late]`: at
/// that time the node knows that term and has, as its leader, that proof. All orders of one moment
/// stand in one line of `expected`; a line in which nothing is ordered is left out.
#[track_caller]
fn check(script: &str, expected: &str) {
    let start = Instant::now();
    let at = |ms: &str| start + Duration::from_millis(ms.parse().unwrap());
    let mut holder = Holder::new(LEASE);
    let mut told = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| words.iter().position(|found| *found == word).map(|place| words[place + 1]);
        let seen =
            Leadership { term: after("term").unwrap().parse().unwrap(), proved: after("proved").map(at) };
        let now = at(words[0]);
        let outcome = match words.last() {
            Some(&"fails") => Outcome::Refused,
            Some(&"late") => Outcome::TooLate,
            _ => Outcome::Done,
        };
        let mut orders = Vec::new();
        while let Some(order) = holder.decide(now, seen) {
            assert!(orders.len() < 10, "{line}: {orders:?} without an end");
            orders.push(match order {
                Order::Take { term, until } => {
                    format!("take {term} until {}", until.duration_since(start).as_millis())
                }
                Order::Renew { .. } => "renew".to_owned(),
                Order::Announce { .. } => "announce".to_owned(),
                Order::Remove => "remove".to_owned(),
            });
            holder.done(now, order, outcome);
            if outcome == Outcome::TooLate {
                break;
            }
        }
        if !orders.is_empty() {
            writeln!(told, "{}: {}", words[0], orders.join(", ")).unwrap();
        }
    }
    let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(told.trim(), expected.trim());
}

#[test]
fn a_leader_takes_the_address_once_a_majority_has_answered() {
    check(
        "0 term 1
         10 term 2
         20 term 2 proved 15
         30 term 2 proved 25",
        "20: take 2 until 215, announce",
    );
}

#[test]
fn a_follower_never_takes_it() {
    check("0 term 1\n1000 term 5\n90000 term 5", "");
}

#[test]
fn it_is_given_up_when_no_majority_answers_in_time() {
    check(
        "0 term 1 proved 0
         150 term 1 proved 50
         249 term 1 proved 50
         250 term 1 proved 50
         251 term 1 proved 50
         300 term 1 proved 290",
        "0: take 1 until 200, announce
         150: announce
         250: remove
         300: take 1 until 490, announce",
    );
}

#[test]
fn it_is_given_up_at_once_with_the_leadership() {
    check("0 term 1 proved 0\n20 term 1\n30 term 2", "0: take 1 until 200, announce\n20: remove");
}

#[test]
fn a_proof_of_an_earlier_term_is_worth_nothing() {
    check(
        "0 term 3 proved 0
         10 term 4
         20 term 3 proved 15
         30 term 4
         40 term 4 proved 35",
        "0: take 3 until 200, announce
         10: remove
         40: take 4 until 235, announce",
    );
}

#[test]
fn an_old_proof_is_worth_nothing() {
    check("500 term 1 proved 299\n501 term 1 proved 301", "");
    check("500 term 1 proved 301", "500: take 1 until 501, announce");
}

#[test]
fn in_a_new_term_it_is_taken_and_announced_anew() {
    check(
        "0 term 1 proved 0\n50 term 2 proved 40",
        "0: take 1 until 200, announce\n50: take 2 until 240, announce",
    );
}

#[test]
fn it_is_renewed_and_announced_as_long_as_it_is_held() {
    let script: String = (0..=180).map(|n| format!("{0} term 1 proved {0}\n", n * 100)).collect();
    check(
        &script,
        "0: take 1 until 200, announce
         100: announce
         300: announce
         500: renew
         1000: announce, renew
         1500: renew
         2000: announce, renew
         2500: renew
         3000: announce, renew
         3500: renew
         4000: announce, renew
         4500: renew
         5000: announce, renew
         5500: renew
         6000: renew
         6500: renew
         7000: renew
         7500: renew
         8000: announce, renew
         8500: renew
         9000: renew
         9500: renew
         10000: renew
         10500: renew
         11000: renew
         11500: renew
         12000: renew
         12500: renew
         13000: renew
         13500: renew
         14000: renew
         14500: renew
         15000: renew
         15500: renew
         16000: renew
         16500: renew
         17000: renew
         17500: renew
         18000: renew",
    );
}

#[test]
fn what_is_refused_is_tried_again_later() {
    check(
        "0 term 1 proved 0 fails
         100 term 1 proved 90
         999 term 1 proved 990
         1000 term 1 proved 990",
        "0: take 1 until 200
         1000: take 1 until 1190, announce",
    );
}

#[test]
fn what_came_too_late_is_tried_again_at_once() {
    check(
        "0 term 1 proved 0 late
         20 term 1 proved 10",
        "0: take 1 until 200
         20: take 1 until 210, announce",
    );
}

#[test]
fn a_removal_that_fails_is_repeated() {
    check(
        "0 term 1 proved 0
         10 term 2 fails
         50 term 2 fails
         110 term 2 fails
         210 term 2
         300 term 2",
        "0: take 1 until 200, announce
         10: remove
         110: remove
         210: remove",
    );
}
