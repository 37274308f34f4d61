//! temporary
#[derive(Debug)]
pub struct EventWriter;
impl EventWriter { pub fn create(_: &std::path::Path) -> std::io::Result<Self> { Ok(Self) } pub fn scalar(&mut self, _: &str, _: f32, _: i64) -> std::io::Result<()> { Ok(()) } pub fn flush(&mut self) -> std::io::Result<()> { Ok(()) } }
