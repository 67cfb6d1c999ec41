//! A secret that the nodes of one machine share, and how they prove to each other that they know
//! it.
//!
//! The secret itself never travels: each side answers the other's random number (*nonce*) with a
//! keyed hash (HMAC-SHA256) of it, of both addresses, and of who dialled. So whoever listens at the
//! port of a node that has ended learns nothing, and an answer fits one connection only.
//! `links::handshake` says when a proof is asked for.

use std::{fmt, io, str::FromStr};

use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::pid::NodeAddr;

const BYTES: usize = 32;

/// A number that was never used before.
pub(crate) type Nonce = [u8; BYTES];

/// A secret. Its text, 64 hexadecimal digits, is for the environment of a process or a file that
/// nobody else reads; it is not shown by `Debug`.
#[derive(Clone)]
pub struct Secret([u8; BYTES]);

/// A text that is no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret has 64 hexadecimal digits")]
pub struct InvalidSecret;

/// Who proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

/// What a proof is about: one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting<'a> {
    dialler: Party<'a>,
    acceptor: Party<'a>,
}

/// A node, and the number that it wants to see in a proof.
type Party<'a> = (&'a NodeAddr, &'a Nonce);

impl<'a> Meeting<'a> {
    /// The meeting of these two.
    pub(crate) fn of(dialler: Party<'a>, acceptor: Party<'a>) -> Self {
        Self { dialler, acceptor }
    }
}

impl Secret {
    /// A new one, from the operating system's generator and not from the node's, which is seeded.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn generate() -> io::Result<Self> {
        Ok(Self(nonce()?))
    }

    /// The text that [`Secret::from_str`] reads.
    pub fn to_text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// That `side` of the meeting knows the secret.
    pub(crate) fn prove(&self, side: Side, meeting: Meeting<'_>) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::sign(&key, &message(side, meeting)).as_ref().to_vec()
    }

    /// Whether `proof` is that of `side`; takes as long for a wrong one as for the right one.
    pub(crate) fn holds(&self, side: Side, meeting: Meeting<'_>, proof: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        hmac::verify(&key, &message(side, meeting), proof).is_ok()
    }
}

/// A new nonce.
///
/// # Errors
/// When the operating system has no randomness.
pub(crate) fn nonce() -> io::Result<Nonce> {
    let mut bytes = [0; BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the operating system has no randomness"))?;
    Ok(bytes)
}

fn message(side: Side, meeting: Meeting<'_>) -> Vec<u8> {
    let mut message = vec![match side {
        Side::Dialler => b'd',
        Side::Acceptor => b'a',
    }];
    for (addr, nonce) in [meeting.dialler, meeting.acceptor] {
        message.extend_from_slice(nonce);
        let addr = addr.to_string();
        message.extend_from_slice(&(addr.len() as u64).to_be_bytes());
        message.extend_from_slice(addr.as_bytes());
    }
    message
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let digits = text.trim().as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        if pairs.len() != BYTES || !rest.is_empty() {
            return Err(InvalidSecret);
        }
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            let value = high.zip(low).map(|(high, low)| high << 4 | low);
            *byte = value
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(InvalidSecret)?;
        }
        Ok(Self(bytes))
    }
}

impl PartialEq for Secret {
    /// Takes as long for different secrets as for the same.
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(other.0);
        pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_the_way_through_text_and_is_not_shown() {
        let secret = Secret::generate().unwrap();
        let text = secret.to_text();
        assert_eq!(text.len(), 64);
        assert_eq!(text.parse::<Secret>().unwrap(), secret);
        assert!(!format!("{secret:?}").contains(&text));
        assert_ne!(Secret::generate().unwrap(), secret);
        for wrong in ["", "ab", &text[1..], &text.replace(&text[..1], "g")] {
            assert_eq!(wrong.parse::<Secret>().unwrap_err(), InvalidSecret);
        }
    }

    #[test]
    fn a_proof_fits_one_meeting_one_side_and_one_secret() {
        let (one, two) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let (a, b) = (NodeAddr::door(1), NodeAddr::door(2));
        let (m, n) = (nonce().unwrap(), nonce().unwrap());
        let meeting = Meeting::of((&a, &m), (&b, &n));
        let turned = Meeting::of((&b, &n), (&a, &m));
        let proof = one.prove(Side::Dialler, meeting);
        assert!(one.holds(Side::Dialler, meeting, &proof));
        assert!(!one.holds(Side::Acceptor, meeting, &proof));
        assert!(!one.holds(Side::Dialler, turned, &proof));
        assert!(!two.holds(Side::Dialler, meeting, &proof));
        assert!(!one.holds(Side::Dialler, meeting, &[]));
    }
}
