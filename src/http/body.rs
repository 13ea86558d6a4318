//! Request bodies: reading them within limits, and turning JSON, forms and multipart into [`Fields`] (spec §1.2).
//!
//! The coercion of single fields is not done here but in `domain::fields`.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as HttpBody;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::reply::Fault;
use crate::domain::fields::Fields;
use crate::domain::text;
use crate::error::Error;

/// Fields that a form may have.
const FORM_FIELDS_MAX: usize = 1000;
/// Of a body that is too large, so many bytes beyond the limit are read and thrown away.
const DISCARDED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A parsed body.
#[derive(Debug, PartialEq)]
pub enum Parsed {
    Fields {
        fields: Fields,
        is_form: bool,
    },
    /// JSON that is no object.
    Other(Value),
}

impl Parsed {
    /// The value of a text field.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self {
            Self::Fields { fields, .. } => fields.0.get(name)?.as_str(),
            Self::Other(_) => None,
        }
    }

    /// The value of a text field of a form.
    #[must_use]
    pub fn form_text(&self, name: &str) -> Option<&str> {
        if let Self::Fields { is_form: true, .. } = self { self.text(name) } else { None }
    }

    /// The elements, for an endpoint that takes an array; `None` when the body is none.
    #[must_use]
    pub fn into_list(self) -> Option<Vec<Value>> {
        match self {
            Self::Other(Value::Array(list)) => Some(list),
            Self::Other(_) | Self::Fields { .. } => None,
        }
    }

    /// The fields, for an endpoint that has some.
    pub fn into_fields(self) -> Result<Fields, Fault> {
        match self {
            Self::Fields { fields, .. } => Ok(fields),
            Self::Other(value) => Err(Fault::NotAnObject(text::type_name(&value))),
        }
    }
}

/// Reads a whole body of at most `max` bytes.
///
/// Of a larger one a little more is read and thrown away, so that a client that writes first and listens later gets
/// the answer rather than a broken connection; one that declares far more is refused before a byte is read.
///
/// What is kept counts against `memory`, whose permits are bytes, until the permit that comes back is dropped.
pub async fn read<B>(
    body: B,
    max: usize,
    timeout: Duration,
    memory: &Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Fault>
where
    B: HttpBody<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    if body.size_hint().lower() > (max + DISCARDED_BYTES_MAX) as u64 {
        return Err(Fault::BodyTooLarge(max));
    }
    let mut body = std::pin::pin!(Limited::new(body, max + DISCARDED_BYTES_MAX));
    let read_all = async {
        let mut kept = BytesMut::new();
        let mut length = 0;
        let mut held = memory.try_acquire_many(0).ok();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Fault::BodyTooLarge(max)
                } else {
                    // The client broke off; nobody reads this answer.
                    Fault::Parse("The request body could not be read.".to_owned())
                }
            })?;
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            if length <= max {
                let more = u32::try_from(data.len()).ok().and_then(|bytes| memory.try_acquire_many(bytes).ok());
                match (&mut held, more) {
                    (Some(held), Some(more)) => held.merge(more),
                    _ => return Err(Error::busy().into()),
                }
                kept.extend_from_slice(&data);
            }
        }
        if length > max { Err(Fault::BodyTooLarge(max)) } else { Ok((kept.freeze(), held)) }
    };
    tokio::time::timeout(timeout, read_all).await.unwrap_or(Err(Fault::BodyTimeout))
}

/// Parses a body by its content type. An empty one is an empty object, whatever the type says.
pub async fn parse(content_type: Option<&str>, body: Bytes) -> Result<Parsed, Fault> {
    if body.is_empty() {
        return Ok(Parsed::Fields { fields: Fields::default(), is_form: false });
    }
    let content_type = content_type.unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        parse_json(&body)
    } else if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        parse_form(&body)
    } else if essence.eq_ignore_ascii_case("multipart/form-data") {
        parse_multipart(content_type, body).await
    } else {
        Err(Fault::UnsupportedMediaType(content_type.to_owned()))
    }
}

fn parse_json(body: &[u8]) -> Result<Parsed, Fault> {
    let value = serde_json::from_slice(body).map_err(|error| Fault::Parse(format!("JSON parse error - {error}")))?;
    Ok(match value {
        Value::Object(map) => Parsed::Fields { fields: Fields(map), is_form: false },
        other => Parsed::Other(other),
    })
}

fn parse_form(body: &[u8]) -> Result<Parsed, Fault> {
    if std::str::from_utf8(body).is_err() {
        return Err(Fault::Parse("Form parse error - not valid UTF-8".to_owned()));
    }
    let mut form = Form::default();
    for (name, value) in form_urlencoded::parse(body) {
        form.add(name.into_owned(), value.into_owned())?;
    }
    Ok(form.finish())
}

async fn parse_multipart(content_type: &str, body: Bytes) -> Result<Parsed, Fault> {
    let bad = |error: multer::Error| Fault::Parse(format!("Multipart form parse error - {error}"));
    let boundary = multer::parse_boundary(content_type).map_err(bad)?;
    let whole = futures_util::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(bad)? {
        let Some(name) = part.name().map(str::to_owned) else { continue };
        // Files are ignored (spec §1.2); reading on skips them.
        if part.file_name().is_some() {
            continue;
        }
        let bytes = part.bytes().await.map_err(bad)?;
        let Ok(value) = std::str::from_utf8(&bytes) else {
            return Err(Fault::Parse("Multipart form parse error - not valid UTF-8".to_owned()));
        };
        form.add(name, value.to_owned())?;
    }
    Ok(form.finish())
}

/// The fields of a form; of two with one name the last counts.
#[derive(Default)]
struct Form(Map<String, Value>);

impl Form {
    fn add(&mut self, name: String, value: String) -> Result<(), Fault> {
        self.0.insert(name, Value::String(value));
        if self.0.len() > FORM_FIELDS_MAX {
            return Err(Fault::Parse(format!("Form parse error - more than {FORM_FIELDS_MAX} fields")));
        }
        Ok(())
    }

    fn finish(self) -> Parsed {
        Parsed::Fields { fields: Fields(self.0), is_form: true }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use serde_json::json;

    use super::*;

    async fn parsed(content_type: &str, body: impl Into<Bytes>) -> Result<Parsed, Fault> {
        parse(Some(content_type).filter(|text| !text.is_empty()), body.into()).await
    }

    async fn check(content_type: &str, body: &'static str, expected: Value) {
        let fields = parsed(content_type, body).await.unwrap().into_fields().unwrap();
        assert_eq!(Value::Object(fields.0), expected, "{content_type} {body}");
    }

    #[tokio::test]
    async fn json_forms_multipart_and_nothing_are_read() {
        check("application/json", r#"{"a":1,"b":[true]}"#, json!({"a": 1, "b": [true]})).await;
        check("Application/JSON; charset=utf-8", r#"{"a":1,"a":2}"#, json!({"a": 2})).await;
        check("application/x-www-form-urlencoded", "a=1&b=x+y%21&a=2", json!({"a": "2", "b": "x y!"})).await;
        check("", "", json!({})).await;
        check("application/json", "", json!({})).await;
        check("text/plain", "", json!({})).await;
        let multipart = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n\
            Content-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\nfile\r\n--x--\r\n";
        check("multipart/form-data; boundary=x", multipart, json!({"a": "1"})).await;
    }

    #[tokio::test]
    async fn an_object_is_wanted_where_there_are_fields() {
        for (body, kind) in
            [("[]", "list"), ("\"a\"", "str"), ("7", "int"), ("7.5", "float"), ("true", "bool"), ("null", "NoneType")]
        {
            let parsed = parsed("application/json", body).await.unwrap();
            assert_eq!(parsed.into_fields(), Err(Fault::NotAnObject(kind)), "{body}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_parsed_says_so() {
        let deep = "[".repeat(100_000);
        for body in ["{", "NaN", "{\"a\":Infinity}", "{\"a\":1} x", " ", deep.as_str()] {
            let fault = parsed("application/json", body.to_owned()).await.unwrap_err();
            assert!(matches!(&fault, Fault::Parse(text) if text.starts_with("JSON parse error - ")), "{body:.20}");
        }
        for (kind, body) in [
            ("application/json", b"{\"a\":\"\xff\"}".as_slice()),
            ("application/x-www-form-urlencoded", b"a=\xff"),
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=x", b"x"),
        ] {
            assert!(matches!(parsed(kind, body).await, Err(Fault::Parse(_))), "{kind}");
        }
    }

    #[tokio::test]
    async fn other_types_are_refused() {
        for kind in ["text/plain", "", "application/xml; x=y"] {
            assert_eq!(parsed(kind, "a").await, Err(Fault::UnsupportedMediaType(kind.to_owned())));
        }
    }

    #[tokio::test]
    async fn a_form_has_a_largest_number_of_fields() {
        let body = (0..=FORM_FIELDS_MAX).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
        assert!(matches!(parsed("application/x-www-form-urlencoded", body).await, Err(Fault::Parse(_))));
    }

    #[tokio::test]
    async fn a_large_body_is_cut_off_whether_or_not_it_says_so() {
        let second = Duration::from_secs(1);
        let memory = Semaphore::new(100);
        let said = Full::new(Bytes::from_static(b"12345678901"));
        assert_eq!(read(said, 10, second, &memory).await.err(), Some(Fault::BodyTooLarge(10)));
        let chunks =
            ["123456", "78901"].map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(part.as_bytes()))));
        let unsaid = StreamBody::new(futures_util::stream::iter(chunks));
        assert_eq!(read(unsaid, 10, second, &memory).await.err(), Some(Fault::BodyTooLarge(10)));
        assert_eq!(read(Full::new(Bytes::from_static(b"1234567890")), 10, second, &memory).await.unwrap().0.len(), 10);
    }

    #[tokio::test]
    async fn a_body_that_never_comes_is_not_waited_for() {
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(read(never, 10, Duration::ZERO, &Semaphore::new(100)).await.err(), Some(Fault::BodyTimeout));
    }

    #[tokio::test]
    async fn all_bodies_together_have_a_limit_too() {
        let second = Duration::from_secs(1);
        let memory = Semaphore::new(12);
        let seven = || Full::new(Bytes::from_static(b"1234567"));
        let (_, held) = read(seven(), 10, second, &memory).await.unwrap();
        assert_eq!(read(seven(), 10, second, &memory).await.err(), Some(Error::busy().into()));
        drop(held);
        assert_eq!(read(seven(), 10, second, &memory).await.unwrap().0.len(), 7);
        assert_eq!(memory.available_permits(), 12);
    }
}
