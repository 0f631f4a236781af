//! The type of a file by its name.

/// What the suffix of a path says about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// The media type without parameters.
    pub essence: &'static str,
    /// What kind of thing it is, for charset, compression and CORS.
    pub class: Class,
}

/// Kinds of files that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A page.
    Html,
    /// Text whose charset HTTP has to name: csv, txt, css, js.
    Text,
    /// JSON and its relatives, UTF-8 by definition (RFC 8259 §8.1).
    Json,
    /// XML, SVG and other compressible formats that name their own charset or have none.
    Markup,
    /// Fonts and the like that compress but are not text.
    Dense,
    /// Compressed already.
    Packed,
}

impl Media {
    /// The type of a path; octets where the suffix says nothing.
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let suffix = name.rsplit_once('.').map_or("", |(_, s)| s).to_ascii_lowercase();
        TYPES
            .iter()
            .find(|(s, _, _)| *s == suffix)
            .map_or(OCTETS, |(_, essence, class)| Self { essence, class: *class })
    }

    /// Whether compressing it can be worth while.
    pub fn is_compressible(self) -> bool {
        !matches!(self.class, Class::Packed)
    }

    /// Whether scripts of other portals may be let read it.
    pub fn is_data(self) -> bool {
        matches!(self.class, Class::Json) || self.essence == "text/csv"
    }

    /// Whether HTTP names its charset.
    pub fn has_charset(self) -> bool {
        matches!(self.class, Class::Html | Class::Text)
    }
}

const OCTETS: Media = Media { essence: "application/octet-stream", class: Class::Packed };

/// Suffix, media type (IANA's registration, RFC 9239 for JavaScript), class.
const TYPES: &[(&str, &str, Class)] = &[
    ("html", "text/html", Class::Html),
    ("htm", "text/html", Class::Html),
    ("xhtml", "application/xhtml+xml", Class::Markup),
    ("js", "text/javascript", Class::Text),
    ("mjs", "text/javascript", Class::Text),
    ("css", "text/css", Class::Text),
    ("csv", "text/csv", Class::Text),
    ("tsv", "text/tab-separated-values", Class::Text),
    ("txt", "text/plain", Class::Text),
    ("md", "text/markdown", Class::Text),
    ("json", "application/json", Class::Json),
    ("geojson", "application/geo+json", Class::Json),
    ("topojson", "application/json", Class::Json),
    ("map", "application/json", Class::Json),
    ("webmanifest", "application/manifest+json", Class::Json),
    ("xml", "application/xml", Class::Markup),
    ("kml", "application/vnd.google-earth.kml+xml", Class::Markup),
    ("svg", "image/svg+xml", Class::Markup),
    ("ico", "image/vnd.microsoft.icon", Class::Dense),
    ("bmp", "image/bmp", Class::Dense),
    ("ttf", "font/ttf", Class::Dense),
    ("otf", "font/otf", Class::Dense),
    ("eot", "application/vnd.ms-fontobject", Class::Dense),
    ("wasm", "application/wasm", Class::Dense),
    ("woff", "font/woff", Class::Packed),
    ("woff2", "font/woff2", Class::Packed),
    ("png", "image/png", Class::Packed),
    ("gif", "image/gif", Class::Packed),
    ("jpg", "image/jpeg", Class::Packed),
    ("jpeg", "image/jpeg", Class::Packed),
    ("webp", "image/webp", Class::Packed),
    ("avif", "image/avif", Class::Packed),
    ("zip", "application/zip", Class::Packed),
    ("gz", "application/gzip", Class::Packed),
    ("tgz", "application/gzip", Class::Packed),
    ("pdf", "application/pdf", Class::Packed),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", Class::Packed),
    ("mp3", "audio/mpeg", Class::Packed),
    ("mp4", "video/mp4", Class::Packed),
    ("webm", "video/webm", Class::Packed),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_of_a_published_site_has_its_type() {
        for (path, essence) in [
            ("index.html", "text/html"),
            ("assets/a.b.JSON", "application/json"),
            ("x/20240603_2005_PREP.zip", "application/zip"),
            ("mapas/31.geojson", "application/geo+json"),
            ("f.woff2", "font/woff2"),
            ("favicon.ico", "image/vnd.microsoft.icon"),
            ("LEEME.txt", "text/plain"),
            ("no.dots/in-name", "application/octet-stream"),
            ("x.acta", "application/octet-stream"),
        ] {
            assert_eq!(Media::of(path).essence, essence, "{path}");
        }
    }
}
