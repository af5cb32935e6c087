//! Numbers of payment cards among other numbers.

use std::ops::Range;

use super::patterns::starts_fresh;

/// The numbers of payment cards: the digits of an issuer, as many as it uses, with a right check
/// digit; in one piece, or in the groups that are printed on cards.
pub(super) fn cards(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let groups = digit_groups(bytes);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        if found.last().is_some_and(|last| group.start < last.end) || !begins_number(text, group.start) {
            continue;
        }
        let mut digits = Vec::with_capacity(19);
        let mut shape = Vec::with_capacity(5);
        let mut separator = None;
        for next in groups.iter().skip(at).take(5) {
            if let Some(before) = shape.last() {
                let between: &Range<usize> = before;
                let gap = &bytes[between.end..next.start];
                if gap.len() != 1 || !matches!(gap[0], b' ' | b'-') || separator.is_some_and(|s| s != gap[0])
                {
                    break;
                }
                separator = Some(gap[0]);
            }
            if digits.len() + next.len() > 19 {
                break;
            }
            digits.extend(bytes[next.clone()].iter().map(|byte| byte - b'0'));
            shape.push(next.clone());
            let ends = bytes.get(next.end).is_none_or(|byte| !byte.is_ascii_alphanumeric())
                && !(bytes.get(next.end) == Some(&b'.')
                    && bytes.get(next.end + 1).is_some_and(u8::is_ascii_digit));
            if ends && is_printed_so(&shape) && is_card(&digits) {
                found.push(group.start..next.end);
                break;
            }
        }
    }
    found
}

fn digit_groups(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length > 0 {
            groups.push(at..at + length);
        }
        at += length.max(1);
    }
    groups
}

fn begins_number(text: &str, at: usize) -> bool {
    let before = &text.as_bytes()[..at];
    !matches!(before, [.., digit, b'.'] if digit.is_ascii_digit()) && starts_fresh(text, at)
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
