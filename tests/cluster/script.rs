//! What simulated processes run: a few words of the shell's language, so that the same command also
//! works for a real shell.
//!
//! `sleep 0.3; [ $TEPUI_INDEX -eq 2 ] && exit 1`: `sleep S`, `exit N`, `true`, `false`,
//! `[ A -eq|-ne|-gt|-lt B ]`, `$NAME` and `${NAME##*.}`, joined by `;`, `&&` and `||` from left to right. `work` is
//! not the shell's: a span and a status that follow from the seed, for simulations only.

use std::{collections::BTreeMap, time::Duration};

/// How a run of a script goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How long it takes.
    pub span: Duration,
    /// Its exit status.
    pub status: i32,
}

/// Runs `text` in an environment; `work` says what the word `work` does.
///
/// # Errors
/// A text for people that names the word that is not known.
pub fn run(
    text: &str,
    environment: &BTreeMap<String, String>,
    work: Outcome,
) -> Result<Outcome, String> {
    let mut now = Outcome {
        span: Duration::ZERO,
        status: 0,
    };
    let mut joint = ";";
    for word in words(text) {
        if matches!(word.as_str(), ";" | "&&" | "||") {
            joint = if word == ";" {
                ";"
            } else if word == "&&" {
                "&&"
            } else {
                "||"
            };
            continue;
        }
        let wanted = match joint {
            "&&" => now.status == 0,
            "||" => now.status != 0,
            _ => true,
        };
        if wanted && step(&word, environment, work, &mut now)? {
            break;
        }
    }
    Ok(now)
}

/// The simple commands of a text and what joins them.
fn words(text: &str) -> Vec<String> {
    let spaced = text.replace([';', '\n'], " ; ");
    let (mut all, mut command) = (Vec::new(), Vec::new());
    for word in spaced.split_whitespace() {
        if matches!(word, ";" | "&&" | "||") {
            if !command.is_empty() {
                all.push(std::mem::take(&mut command).join(" "));
            }
            all.push(word.to_owned());
        } else {
            command.push(word);
        }
    }
    if !command.is_empty() {
        all.push(command.join(" "));
    }
    all
}

/// Runs one simple command; true if the script is over.
fn step(
    command: &str,
    environment: &BTreeMap<String, String>,
    work: Outcome,
    now: &mut Outcome,
) -> Result<bool, String> {
    let unknown = || format!("the simulation has no command {command:?}");
    let variable = |name: &str| environment.get(name).cloned().unwrap_or_default();
    let value = |word: &str| {
        let last = word
            .strip_prefix("${")
            .and_then(|word| word.strip_suffix("##*.}"));
        match (last, word.strip_prefix('$')) {
            (Some(name), _) => variable(name)
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .to_owned(),
            (None, Some(name)) => variable(name),
            (None, None) => word.to_owned(),
        }
    };
    let words: Vec<String> = command.split(' ').map(value).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["true"] => now.status = 0,
        ["false"] => now.status = 1,
        ["work"] => {
            now.span += work.span;
            now.status = work.status;
        }
        ["sleep", seconds] => {
            let seconds: f64 = seconds.parse().map_err(|_| unknown())?;
            now.span += Duration::from_secs_f64(seconds);
            now.status = 0;
        }
        ["exit", status] => {
            now.status = status.parse().map_err(|_| unknown())?;
            return Ok(true);
        }
        ["[", a, relation, b, "]"] => {
            let number = |text: &str| text.parse::<i64>().map_err(|_| unknown());
            let (a, b) = (number(a)?, number(b)?);
            let holds = match *relation {
                "-eq" => a == b,
                "-ne" => a != b,
                "-gt" => a > b,
                "-lt" => a < b,
                _ => return Err(unknown()),
            };
            now.status = i32::from(!holds);
        }
        _ => return Err(unknown()),
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_do_what_a_shell_does() {
        let variables = [("N", "2"), ("ID", "job.map.7.1")];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = BTreeMap::from(environment);
        let work = Outcome {
            span: Duration::from_secs(9),
            status: 4,
        };
        for (text, millis, status) in [
            ("true", 0, 0),
            ("sleep 0.5; exit 3; sleep 9", 500, 3),
            ("[ $N -eq 2 ] && exit 7; true", 0, 7),
            ("[ $N -gt 2 ] && exit 7; sleep 1", 1_000, 0),
            ("[ ${ID##*.} -lt 2 ] && exit 5", 0, 5),
            ("false || sleep 2 && work", 11_000, 4),
        ] {
            let outcome = run(text, &environment, work).unwrap();
            assert_eq!(outcome.span, Duration::from_millis(millis), "{text}");
            assert_eq!(outcome.status, status, "{text}");
        }
        assert!(
            run("rm -rf /", &environment, work)
                .unwrap_err()
                .contains("rm -rf /")
        );
    }
}
