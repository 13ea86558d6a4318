//! Takes a file of JSON objects apart: one array of them, as Django's `dumpdata` writes it, or one behind the other, as
//! in JSON lines. Byte by byte, so that no more than one object is in memory, and each knows the line it begins on.
//!
//! Only finds where objects begin and end; what is in them is [`serde_json`]'s matter.

use zeroize::Zeroizing;

/// Longest object, in bytes.
pub const OBJECT_BYTES_MAX: usize = 1024 * 1024;

/// One object of a file, in its JSON text. It may hold secrets.
pub struct Found {
    /// From 1.
    pub line: u64,
    pub json: Zeroizing<Vec<u8>>,
}

/// What is wrong with a file, and on which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DumpError {
    pub line: u64,
    pub problem: String,
}

/// The state between two bytes.
pub struct Splitter {
    line: u64,
    place: Place,
    is_array: bool,
}

enum Place {
    /// Nothing but blanks so far.
    Start,
    /// Where an object may begin.
    Between,
    Object(Begun),
    /// Behind the end of the array.
    End,
}

struct Begun {
    found: Found,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self { line: 1, place: Place::Start, is_array: false }
    }
}

impl Splitter {
    /// Takes one byte; the one that ends an object answers it.
    pub fn push(&mut self, byte: u8) -> Result<Option<Found>, DumpError> {
        let line = self.line;
        if byte == b'\n' {
            self.line += 1;
        }
        match (&mut self.place, byte) {
            (Place::Object(begun), _) => {
                if begun.found.json.len() >= OBJECT_BYTES_MAX {
                    let line = begun.found.line;
                    return Err(error(line, format!("an object of more than {OBJECT_BYTES_MAX} bytes begins here")));
                }
                if begun.takes_last(byte) {
                    let Place::Object(begun) = std::mem::replace(&mut self.place, Place::Between) else {
                        return Ok(None);
                    };
                    return Ok(Some(begun.found));
                }
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Place::Start, b'[') => {
                self.is_array = true;
                self.place = Place::Between;
            }
            (Place::Start | Place::Between, b'{') => self.place = Place::Object(Begun::at(line)),
            (Place::Between, b',') if self.is_array => {}
            (Place::Between, b']') if self.is_array => self.place = Place::End,
            (Place::End, _) => return Err(error(line, "there is something behind the end of the list".to_owned())),
            _ => return Err(error(line, "an object is expected here; is this JSON from `dumpdata`?".to_owned())),
        }
        Ok(None)
    }

    /// Says that the file is at its end; a list or an object must be, too.
    pub fn finish(self) -> Result<(), DumpError> {
        match self.place {
            Place::Object(begun) => Err(error(begun.found.line, "the file ends within this object".to_owned())),
            Place::Between if self.is_array => Err(error(self.line, "the file ends within the list".to_owned())),
            Place::Start | Place::Between | Place::End => Ok(()),
        }
    }
}

impl Begun {
    fn at(line: u64) -> Self {
        let json = Zeroizing::new(vec![b'{']);
        Self { found: Found { line, json }, depth: 1, in_string: false, is_escaped: false }
    }

    /// Adds a byte; true when it is the object's last.
    fn takes_last(&mut self, byte: u8) -> bool {
        self.found.json.push(byte);
        if self.in_string {
            self.in_string = self.is_escaped || byte != b'"';
            self.is_escaped = !self.is_escaped && byte == b'\\';
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }
}

fn error(line: u64, problem: String) -> DumpError {
    DumpError { line, problem }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(bytes: &[u8]) -> Result<Vec<(u64, String)>, DumpError> {
        let mut splitter = Splitter::default();
        let mut found = Vec::new();
        for byte in bytes {
            if let Some(object) = splitter.push(*byte)? {
                found.push((object.line, String::from_utf8_lossy(&object.json).into_owned()));
            }
        }
        splitter.finish().map(|()| found)
    }

    #[test]
    fn lists_and_lines_are_taken_apart() {
        let (one, other) = (r#"{"a": "}\"{\\", "b": [{}]}"#.to_owned(), "{}".to_owned());
        for (text, lines) in [
            (format!("[{one}, {other}]"), (1, 1)),
            (format!("\n[\n{one},\n{other}\n]\n"), (3, 4)),
            (format!("{one}\r\n\n{other}"), (1, 3)),
            (format!("{one}{other}\n"), (1, 1)),
        ] {
            assert_eq!(split(text.as_bytes()), Ok(vec![(lines.0, one.clone()), (lines.1, other.clone())]), "{text}");
        }
        for empty in ["", "\n", "[]", " [ ] \n"] {
            assert_eq!(split(empty.as_bytes()), Ok(vec![]), "{empty}");
        }
    }

    #[test]
    fn damage_names_its_line() {
        for (text, line, words) in [
            ("[{}\n,{\"a\": ", 2, "ends within this object"),
            ("[{},\n", 2, "ends within the list"),
            ("[\n", 2, "ends within the list"),
            ("\n7", 2, "an object is expected"),
            ("{}\n,{}", 2, "an object is expected"),
            ("{}\n]", 2, "an object is expected"),
            ("[{}]\n\nx", 3, "behind the end"),
            ("user,password\n", 1, "an object is expected"),
            ("\u{feff}[]", 1, "an object is expected"),
        ] {
            let error = split(text.as_bytes()).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
        let endless = [b"{\"a\": \"".to_vec(), vec![b'x'; OBJECT_BYTES_MAX]].concat();
        assert!(split(&endless).unwrap_err().problem.contains("more than"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(prop::sample::select(b"[]{},\"\\\n a7\xff".to_vec()), 0..60)) {
            let _ = split(&bytes);
        }

        #[test]
        fn what_was_joined_comes_apart(texts in prop::collection::vec("\\PC{0,12}", 0..6), is_array: bool) {
            let objects: Vec<String> = texts.iter().map(|text| serde_json::json!({"a": [text]}).to_string()).collect();
            let joined = if is_array { format!("[{}]", objects.join(",\n")) } else { objects.join("\n") };
            let found: Vec<String> = split(joined.as_bytes()).unwrap().into_iter().map(|(_, json)| json).collect();
            prop_assert_eq!(found, objects);
        }
    }
}
