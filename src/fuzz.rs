//! One function for each kind of bytes that somebody else chooses: it reads them as the program does, and checks what
//! must hold whatever they are. They are there for tests and for the programs in `fuzz/`, never in the server.
//!
//! The tests here replay the corpus in `fuzz/corpus` with some random changes; `scripts/fuzz` lets libFuzzer choose.

pub use crate::admin::fuzz::admin;
pub use crate::app::fuzz::{credentials, trail};
pub use crate::domain::fuzz::{import, query, values};
pub use crate::http::fuzz::{body, head, proxy};
pub use crate::records::fuzz::record;
pub use crate::store::fuzz::{backup, frames};

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Instant;

    /// Changed inputs for each target; `DOORWARD_FUZZ_RUNS` says another number.
    const RUNS: u64 = 3_000;
    /// Longest input that is made by changes.
    const BYTES_MAX: usize = 4_096;

    /// Each target beside its name: a test that replays its corpus.
    macro_rules! targets {
        ($($target:ident,)+) => {
            const NAMES: &[&str] = &[$(stringify!($target),)+];

            $(
                #[test]
                fn $target() {
                    replay(stringify!($target), super::$target);
                }
            )+
        };
    }

    targets! {
        admin,
        backup,
        body,
        credentials,
        frames,
        head,
        import,
        proxy,
        query,
        record,
        trail,
        values,
    }

    #[test]
    fn every_target_is_a_program_and_has_a_corpus() {
        for (folder, ending) in [("fuzz_targets", ".rs"), ("corpus", "")] {
            let found = std::fs::read_dir(path(&[folder])).unwrap().map(|entry| entry.unwrap().file_name());
            let mut found: Vec<String> = found.map(|name| name.into_string().unwrap()).collect();
            found.sort();
            let wanted: Vec<String> = NAMES.iter().map(|name| format!("{name}{ending}")).collect();
            assert_eq!(found, wanted, "{folder}");
        }
    }

    fn path(parts: &[&str]) -> PathBuf {
        [&[env!("CARGO_MANIFEST_DIR"), "fuzz"], parts].concat().iter().collect()
    }

    /// Each input as it is, then changed ones.
    fn replay(name: &str, target: fn(&[u8])) {
        let files = std::fs::read_dir(path(&["corpus", name])).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files.collect();
        files.sort();
        let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert!(inputs.len() >= 10, "{name} has a corpus of {} inputs", inputs.len());
        for (file, input) in files.iter().zip(&inputs) {
            tried(target, input, &file.display().to_string());
        }
        let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let seed = number("DOORWARD_FUZZ_SEED").unwrap_or_else(|| getrandom::u32().unwrap().into());
        let runs = number("DOORWARD_FUZZ_RUNS").unwrap_or(RUNS);
        let begun = Instant::now();
        let mut dice = Dice(seed);
        for _ in 0..runs {
            let changed = changed(&inputs, &mut dice);
            tried(target, &changed, &format!("DOORWARD_FUZZ_SEED={seed}"));
        }
        println!("{name}: {} inputs and {runs} changed ones in {:?}", inputs.len(), begun.elapsed());
    }

    /// A failure says what the input was.
    #[track_caller]
    fn tried(target: fn(&[u8]), input: &[u8], whence: &str) {
        let is_fine = std::panic::catch_unwind(|| target(input)).is_ok();
        assert!(is_fine, "fails with {} of {whence}", input.escape_ascii());
    }

    /// One of the inputs after a few small changes, some of them taken from another one.
    fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
        let mut bytes = inputs[dice.below(inputs.len())].clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(bytes.len() + 1);
            let other = &inputs[dice.below(inputs.len())];
            match dice.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
                1 if at < bytes.len() => bytes[at] = dice.byte(),
                2 => bytes.insert(at, dice.byte()),
                3 => bytes.truncate(at),
                4 => drop(bytes.drain(at..(at + dice.below(8)).min(bytes.len()))),
                5 => {
                    let piece = at..(at + dice.below(64)).min(bytes.len());
                    bytes.splice(at..at, bytes[piece].to_vec());
                }
                _ => {
                    let from = dice.below(other.len() + 1);
                    let piece = from..(from + dice.below(64)).min(other.len());
                    bytes.splice(at..at, other[piece].to_vec());
                }
            }
        }
        bytes.truncate(BYTES_MAX.max(inputs.iter().map(Vec::len).max().unwrap_or_default()));
        bytes
    }

    /// Xorshift with a multiplication: numbers that a seed repeats.
    struct Dice(u64);

    impl Dice {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^ mixed >> 31
        }

        fn below(&mut self, bound: usize) -> usize {
            usize::try_from(self.next() % bound as u64).unwrap()
        }

        fn byte(&mut self) -> u8 {
            self.next().to_be_bytes()[0]
        }
    }
}
