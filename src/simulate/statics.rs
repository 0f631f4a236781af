//! The files that do not change on the night: pages, scripts, images, fonts, maps.
//!
//! A file is a recipe (path, look, size) until somebody needs its bytes; the same recipe
//! always gives the same bytes. The sizes are those of Quintana Roo's real template.

use super::deflate::Effort;
use super::random::Stream;

/// Which files a profile ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StaticSet {
    /// Desktop and mobile applications, as in Quintana Roo: 406 files, 45 MB.
    TwoApps,
    /// One application, as INE's: 400 files, 17 MB.
    National,
    /// Just enough.
    Mini,
    /// One page and images of this size in all.
    Custom {
        /// Kilobytes of images.
        kilobytes: u32,
    },
}

/// The recipe of one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Recipe {
    /// Relative, without `./`.
    pub(super) path: String,
    pub(super) look: Look,
    /// About how many bytes; exact for images and fonts.
    pub(super) len: usize,
}

/// What a file looks like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Look {
    /// A page; see [`Page`].
    Page(Page),
    /// The script of the page, then filling.
    MainScript,
    Script,
    Style,
    /// An SVG around an embedded base64 image.
    EmbeddedSvg,
    /// An SVG of paths.
    Svg,
    GeoJson,
    Gif,
    Png,
    Icon,
    Woff2,
    Text,
    /// A file of no bytes.
    Nothing,
    /// What a Mac leaves behind.
    DsStore,
}

/// The values of the page's template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Page {
    pub(super) base: String,
    pub(super) state: &'static str,
    pub(super) script: String,
    pub(super) style: String,
    pub(super) avance: String,
}

/// Everything recipes depend on besides the set.
pub(super) struct Setting<'a> {
    pub(super) seed: u64,
    pub(super) profile: &'a str,
    pub(super) base: &'a str,
    pub(super) state: &'static str,
    /// Path of the JSON that the page polls.
    pub(super) avance: &'a str,
    /// How often the applications were rebuilt (`static-update`): names hold a hash of it.
    pub(super) build: u32,
}

impl StaticSet {
    /// The recipes, in no order.
    pub(super) fn recipes(self, setting: &Setting<'_>) -> Vec<Recipe> {
        match self {
            Self::TwoApps => two_apps(setting),
            Self::National => national(setting),
            Self::Mini => small(setting, 6, 12_000),
            Self::Custom { kilobytes } => {
                let images = kilobytes.div_ceil(IMAGE_KB) as usize;
                small(setting, images, IMAGE_KB as usize * 1000)
            }
        }
    }
}

fn two_apps(setting: &Setting<'_>) -> Vec<Recipe> {
    let mut all = Vec::new();
    let (script, style) = (setting.hashed("main", "js"), setting.hashed("styles", "css"));
    for (app, part, fonts) in [("escritorio", 10, 48), ("movil", 3, 24)] {
        let mut add = |name: String, look, len| all.push(Recipe { path: format!("{app}/{name}"), look, len });
        for n in 1..=4 {
            add(format!("assets/img/mapa_{n}.svg"), Look::EmbeddedSvg, 396_000 * part + 1_111 * n);
        }
        for n in 0..6 {
            add(format!("assets/img/animacion_{n}.gif"), Look::Gif, 420_000 + 84_000 * n);
        }
        for n in 0..110 {
            add(format!("assets/img/{}.svg", svg_name(n)), Look::Svg, skewed(n, 110, 76_700));
        }
        for n in 0..fonts {
            add(format!("assets/fonts/roboto-{n:02}.woff2"), Look::Woff2, 68_000 + 97 * n);
        }
        add(script.clone(), Look::MainScript, 1_600_000);
        add(setting.hashed("polyfills", "js"), Look::Script, 131_000);
        for n in 0..13 {
            add(setting.hashed(&format!("{n}"), "js"), Look::Script, 22_000 + 4_000 * n);
        }
        add(style.clone(), Look::Style, 240_000);
        for n in 1..=26 {
            add(format!("assets/mapas/distrito_{n}.geojson"), Look::GeoJson, 7_000 * part);
        }
        let page = setting.page(&format!("{}{app}/", setting.base), &script, &style, "../");
        add("index.html".to_owned(), Look::Page(page), 0);
    }
    let page =
        setting.page(setting.base, &format!("escritorio/{script}"), &format!("escritorio/{style}"), "");
    let mut add = |path: &str, look, len| all.push(Recipe { path: path.to_owned(), look, len });
    add("index.html", Look::Page(page), 0);
    add("favicon.ico", Look::Icon, 15_086);
    add("robots.txt", Look::Text, 0);
    add("Read Me.txt", Look::Text, 0);
    add("escritorio/assets/img/prep-2021_full_colores@2x.png", Look::Png, 86_400);
    add("escritorio/assets/img/logo_simulado.svg", Look::Svg, 4_200);
    add("escritorio/assets/img/.gitkeep", Look::Nothing, 0);
    add("escritorio/assets/img/.DS_Store", Look::DsStore, 6_148);
    all
}

fn national(setting: &Setting<'_>) -> Vec<Recipe> {
    let mut all = Vec::new();
    let mut add = |path: String, look, len| all.push(Recipe { path, look, len });
    let (script, style) = (setting.hashed("main", "js"), setting.hashed("styles", "css"));
    add("index.html".to_owned(), Look::Page(setting.page(setting.base, &script, &style, "")), 0);
    add(script, Look::MainScript, 1_900_000);
    add(style, Look::Style, 310_000);
    add("favicon.ico".to_owned(), Look::Icon, 15_086);
    for n in 0..24 {
        add(setting.hashed(&format!("{n}"), "js"), Look::Script, 40_000 + 5_000 * n);
    }
    for n in 1..=32 {
        add(format!("assets/mapas/entidades/{n}.geojson"), Look::GeoJson, 52_000);
    }
    for n in 0..40 {
        add(format!("assets/fonts/roboto-{n:02}.woff2"), Look::Woff2, 68_000 + 97 * n);
    }
    for n in 0..10 {
        add(format!("assets/img/fondo_{n}.png"), Look::Png, 420_000 + 21_000 * n);
    }
    for n in 0..290 {
        add(format!("assets/img/{}.svg", svg_name(n)), Look::Svg, skewed(n, 290, 55_000));
    }
    all
}

fn small(setting: &Setting<'_>, images: usize, image_len: usize) -> Vec<Recipe> {
    let mut all = Vec::new();
    let mut add = |path: String, look, len| all.push(Recipe { path, look, len });
    let (script, style) = (setting.hashed("main", "js"), setting.hashed("styles", "css"));
    add("index.html".to_owned(), Look::Page(setting.page(setting.base, &script, &style, "")), 0);
    add(script, Look::MainScript, 9_000);
    add(style, Look::Style, 6_000);
    add(format!("assets/img/{}.svg", svg_name(0)), Look::Svg, 900);
    add("assets/img/.gitkeep".to_owned(), Look::Nothing, 0);
    for n in 0..images {
        add(format!("assets/img/animacion_{n}.gif"), Look::Gif, image_len + n);
    }
    all
}

/// Sizes as templates have them: many small files, few large ones. In 64 bits: the
/// cube would not fit 32.
fn skewed(n: usize, of: u64, most: u64) -> usize {
    let n = n as u64;
    (300 + n * n * n * most / (of - 1).pow(3)) as usize
}

/// The first names are real ones that have caused trouble.
fn svg_name(n: usize) -> String {
    match n {
        0 => "flecha_morada_peque\u{f1}a-47".to_owned(),
        1 => "P1-35 (1)".to_owned(),
        2 => "!Ciudad".to_owned(),
        _ => format!("icono-{n:03}"),
    }
}

impl Setting<'_> {
    /// `name.<16 hex>.js`, as `outputHashing: all` builds them.
    fn hashed(&self, name: &str, suffix: &str) -> String {
        let bytes = Stream::new(self.seed, self.profile, &format!("build/{}/{name}", self.build)).bytes(8);
        let hash: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        // Only what was rebuilt gets another name; chunks and polyfills stay.
        if matches!(name, "main" | "styles") || self.build == 0 {
            return format!("{name}.{hash}.{suffix}");
        }
        Setting { build: 0, ..*self }.hashed(name, suffix)
    }

    fn page(&self, base: &str, script: &str, style: &str, up: &str) -> Page {
        Page {
            base: base.to_owned(),
            state: self.state,
            script: script.to_owned(),
            style: style.to_owned(),
            avance: format!("{up}{}", self.avance),
        }
    }
}

impl Recipe {
    /// How hard compressing it is worth trying.
    pub(super) fn effort(&self) -> Effort {
        match self.look {
            Look::Gif | Look::Png | Look::Woff2 => Effort::Store,
            Look::EmbeddedSvg => Effort::Entropy,
            _ => Effort::Match,
        }
    }

    /// Whether a receiver leaves it out: dotfiles.
    pub(super) fn is_junk(&self) -> bool {
        matches!(self.look, Look::Nothing | Look::DsStore)
    }

    /// The bytes.
    pub(super) fn render(&self, seed: u64, profile: &str) -> Vec<u8> {
        let mut stream = Stream::new(seed, profile, &self.path);
        match &self.look {
            Look::Page(page) => page.html().into_bytes(),
            Look::MainScript => script(MAIN_SCRIPT, self.len, &mut stream),
            Look::Script => script("", self.len, &mut stream),
            Look::Style => style(self.len, &mut stream),
            Look::EmbeddedSvg => embedded(self.len, &mut stream),
            Look::Svg => svg(self.len, &mut stream),
            Look::GeoJson => geojson(self.len, &mut stream),
            Look::Gif => headed(b"GIF89a", self.len, &mut stream),
            Look::Png => headed(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", self.len, &mut stream),
            Look::Icon => headed(b"\0\0\x01\0\x01\0", self.len, &mut stream),
            Look::Woff2 => headed(b"wOF2\0\x01\0\0", self.len, &mut stream),
            Look::DsStore => headed(b"\0\0\0\x01Bud1", self.len, &mut stream),
            Look::Text => b"Datos simulados para probar un difusor. No son resultados.\r\n".to_vec(),
            Look::Nothing => Vec::new(),
        }
    }
}

impl Page {
    fn html(&self) -> String {
        TEMPLATE
            .replace("{{BASE}}", &self.base)
            .replace("{{STATE}}", self.state)
            .replace("{{SCRIPT}}", &self.script)
            .replace("{{STYLE}}", &self.style)
            .replace("{{AVANCE}}", &self.avance)
    }
}

fn headed(head: &[u8], len: usize, stream: &mut Stream) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.extend_from_slice(&stream.bytes(len.saturating_sub(head.len())));
    bytes
}

/// Valid JavaScript that does nothing, as compressible as a real bundle.
fn script(head: &str, len: usize, stream: &mut Stream) -> Vec<u8> {
    let mut text = format!("{head}(function(p,e){{\"use strict\";\n");
    while text.len() + 8 < len {
        let (a, b, n) = (word(stream), word(stream), stream.below(9_000));
        let line = match stream.below(4) {
            0 => format!("p.{a}{n}=function(t,n){{var r=t.{b}+n;return r&&r.{a}?r:e({n})}};\n"),
            1 => format!("p.{a}_{b}={{{a}:{n},{b}:\"{a}-{b}\",activo:!0,orden:{}}};\n", stream.below(99)),
            2 => {
                format!("p.{b}{n}=function(t){{for(var n=0;n<t.length;n++)t[n].{a}=e(t[n],{n});return t}};\n")
            }
            _ => format!("p.ruta{n}=\"/{a}/{b}/{}\";\n", stream.below(400)),
        };
        text.push_str(&line);
    }
    text.push_str("})({},Number);\n");
    text.into_bytes()
}

fn style(len: usize, stream: &mut Stream) -> Vec<u8> {
    let mut text = MAIN_STYLE.to_owned();
    while text.len() < len {
        let (a, b) = (word(stream), word(stream));
        text.push_str(&format!(
            ".{a}-{b}-{}{{margin:{}px;padding:{}px {}px;color:#{:06x}}}\n",
            stream.below(999),
            stream.below(40),
            stream.below(24),
            stream.below(24),
            stream.below(1 << 24)
        ));
    }
    text.into_bytes()
}

fn embedded(len: usize, stream: &mut Stream) -> Vec<u8> {
    let mut text = SVG_HEAD.as_bytes().to_vec();
    text.extend_from_slice(b"<image width=\"1000\" height=\"1000\" href=\"data:image/png;base64,");
    let room = len.saturating_sub(text.len() + EMBEDDED_TAIL.len());
    let mut letters = stream.bytes(room);
    for letter in &mut letters {
        *letter = BASE64.get(usize::from(*letter % 64)).copied().unwrap_or(b'A');
    }
    text.extend_from_slice(&letters);
    text.extend_from_slice(EMBEDDED_TAIL.as_bytes());
    text
}

fn svg(len: usize, stream: &mut Stream) -> Vec<u8> {
    let mut text = SVG_HEAD.to_owned();
    while text.len() + 120 < len {
        text.push_str(&format!(
            "<path fill=\"#{:06x}\" d=\"M{}",
            stream.below(1 << 24),
            tenths(stream, 9_999)
        ));
        for _ in 0..stream.between(4, 30) {
            let (x, y) = (tenths(stream, 9_999), tenths(stream, 9_999));
            text.push_str(&format!(" {x}L{y}"));
        }
        text.push_str(" 0Z\"/>\n");
    }
    text.push_str("<circle cx=\"500\" cy=\"500\" r=\"90\"/></svg>\n");
    text.into_bytes()
}

fn geojson(len: usize, stream: &mut Stream) -> Vec<u8> {
    let mut text = "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[".to_owned();
    let (mut x, mut y) = (87_000_000 + stream.below(2_000_000), 19_000_000 + stream.below(2_000_000));
    let first = (x, y);
    let mut point = |x: u32, y: u32, end: &str| {
        let (a, b) = (x / 1_000_000, x % 1_000_000);
        let (c, d) = (y / 1_000_000, y % 1_000_000);
        text.push_str(&format!("[-{a}.{b:06},{c}.{d:06}]{end}"));
        text.len()
    };
    while point(x, y, ",") + 80 < len {
        x = x + stream.below(20_000) - 10_000;
        y = y + stream.below(20_000) - 10_000;
    }
    point(first.0, first.1, "");
    text.push_str("]]},\"properties\":{\"simulado\":true}}\n");
    text.into_bytes()
}

fn tenths(stream: &mut Stream, bound: u32) -> String {
    let n = stream.below(bound);
    format!("{}.{}", n / 10, n % 10)
}

fn word(stream: &mut Stream) -> &'static str {
    stream.pick(&WORDS).copied().unwrap_or("acta")
}

/// Images of a custom set.
const IMAGE_KB: u32 = 256;
const TEMPLATE: &str = include_str!("page/index.html");
const MAIN_SCRIPT: &str = include_str!("page/main.js");
const MAIN_STYLE: &str = include_str!("page/styles.css");
const SVG_HEAD: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 1000\">\n";
const EMBEDDED_TAIL: &str = "\"/></svg>\n";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const WORDS: [&str; 32] = [
    "acta",
    "casilla",
    "seccion",
    "distrito",
    "municipio",
    "entidad",
    "voto",
    "partido",
    "candidatura",
    "avance",
    "corte",
    "captura",
    "digitaliza",
    "tabla",
    "grafica",
    "mapa",
    "filtro",
    "pagina",
    "boton",
    "menu",
    "detalle",
    "consulta",
    "estado",
    "listado",
    "total",
    "nominal",
    "participa",
    "observa",
    "origen",
    "hora",
    "fecha",
    "base",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(build: u32) -> Setting<'static> {
        Setting {
            seed: 1,
            profile: "qroo",
            base: "/",
            state: "QUINTANA ROO",
            avance: "assets/api/avance.json",
            build,
        }
    }

    #[test]
    fn quintana_roo_has_406_files_of_45_megabytes() {
        let recipes = StaticSet::TwoApps.recipes(&setting(0));
        let raw: usize = recipes.iter().map(|r| r.render(1, "qroo").len()).sum();
        assert_eq!(recipes.len(), 406);
        assert!((44_800_000..45_200_000).contains(&raw), "{raw}");
    }

    #[test]
    fn a_page_names_its_base_and_script() {
        let recipes = StaticSet::Mini.recipes(&setting(0));
        let page = recipes.iter().find(|r| r.path == "index.html").unwrap().render(1, "qroo");
        let page = String::from_utf8(page).unwrap();
        assert!(
            page.contains("<base href=\"/\">") && page.contains("Datos simulados") && !page.contains("{{")
        );
        let script = recipes.iter().find(|r| r.look == Look::MainScript).unwrap();
        assert!(page.contains(&script.path));
    }

    #[test]
    fn a_rebuild_renames_the_script_and_nothing_else() {
        let paths = |build| {
            StaticSet::TwoApps.recipes(&setting(build)).into_iter().map(|r| r.path).collect::<Vec<_>>()
        };
        let (old, new) = (paths(0), paths(1));
        assert_eq!(old.iter().filter(|path| !new.contains(path)).count(), 4);
    }
}
