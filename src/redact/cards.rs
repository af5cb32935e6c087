//! Numbers of payment cards among other numbers.

use std::ops::Range;

use super::boundary::at_token_start;

/// What may stand between the groups of a number.
const GAPS: &[&str] = &[" ", "  ", "-", " - ", ".", "\u{a0}", "\u{202f}", "\u{2009}", "–", "+", "%20"];

/// Digits of the shortest number.
const FEWEST: usize = 13;

/// Bytes of the name on a card's track.
const NAME: usize = 40;

/// The numbers of payment cards: the digits of an issuer, as many as it uses, with a right check
/// digit; in one piece, or in the groups that are printed on cards; with what follows on the track.
pub(super) fn cards(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    if bytes.iter().filter(|byte| byte.is_ascii_digit()).count() < FEWEST {
        return Vec::new();
    }
    let groups = digit_groups(bytes);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        if found.last().is_some_and(|last| group.start < last.end) || !begins_number(text, group.start) {
            continue;
        }
        let mut digits = Vec::with_capacity(19);
        let mut shape: Vec<Range<usize>> = Vec::with_capacity(5);
        let mut separator = None;
        for next in groups.iter().skip(at).take(5) {
            if let Some(before) = shape.last() {
                let gap = &text[before.end..next.start];
                if !GAPS.contains(&gap) || separator.is_some_and(|separator| separator != gap) {
                    break;
                }
                separator = Some(gap);
            }
            if digits.len() + next.len() > 19 {
                break;
            }
            digits.extend(bytes[next.clone()].iter().map(|byte| byte - b'0'));
            shape.push(next.clone());
            if ends_number(&bytes[next.end..], digits.len()) && is_printed_so(&shape) && is_card(&digits) {
                found.push(group.start..next.end + track(&bytes[next.end..]));
                break;
            }
        }
    }
    found
}

/// The groups of digits; one after `%20` begins behind it.
fn digit_groups(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        match bytes[at..] {
            [b'%', b'2'..=b'7', code, ..] if code.is_ascii_hexdigit() => at += 3,
            [b'0'..=b'9', ..] => {
                groups.push(at..at + digits(at));
                at += digits(at);
            }
            _ => at += 1,
        }
    }
    groups
}

fn begins_number(text: &str, at: usize) -> bool {
    let before = &text.as_bytes()[..at];
    // A fraction is none; a track begins with `%B`.
    before.ends_with(b"%B")
        || !matches!(before, [.., digit, b'.'] if digit.is_ascii_digit()) && at_token_start(text, at)
}

/// Whether a number of so many digits ends before this; with a fraction, it may be one of JSON.
fn ends_number(after: &[u8], digits: usize) -> bool {
    match after {
        [b'D', digit, ..] if digit.is_ascii_digit() => true,
        [b'.', fraction @ ..] => {
            let places = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            places == 0 || (places <= 2 && digits >= 15 && fraction.get(places) != Some(&b'.'))
        }
        _ => after.first().is_none_or(|byte| !byte.is_ascii_alphanumeric()),
    }
}

/// How long the rest of a card's track is, after its number: `=29121010000012345`, `^DOE/J^2912…`.
fn track(after: &[u8]) -> usize {
    let digits = |from: usize| after[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    match after.first() {
        Some(b'=' | b'D') if digits(1) >= 4 => 1 + digits(1),
        Some(b'^') => {
            let name = after[1..].iter().take(NAME).position(|byte| *byte == b'^').map(|name| name + 2);
            name.map_or(0, |name| name + digits(name))
        }
        _ => 0,
    }
}

fn is_printed_so(groups: &[Range<usize>]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(Range::len).collect();
    matches!(lengths[..], [13..=19] | [4, 4, 4, 1..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4..=5])
}

fn is_card(digits: &[u8]) -> bool {
    let prefix =
        |places: usize| digits.iter().take(places).fold(0_u32, |n, digit| n * 10 + u32::from(*digit));
    let issued = match digits.len() {
        13 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38 | 39) || (300..=305).contains(&prefix(3)),
        15 => matches!(prefix(2), 34 | 37),
        16..=19 => match prefix(4) {
            2221..=2720 | 3528..=3589 | 6011 | 6440..=6599 => true,
            four => matches!(four / 100, 40..=59 | 62 | 63 | 67),
        },
        _ => false,
    };
    issued && has_check_digit(digits)
}

fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let weighed = u32::from(*digit) * if place % 2 == 1 { 2 } else { 1 };
            if weighed > 9 { weighed - 9 } else { weighed }
        })
        .sum();
    sum.is_multiple_of(10)
}
