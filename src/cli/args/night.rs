//! The verbs of the night: notice, night, incidents, alert, monitor.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Why {
    /// Motivo, para la bitácora
    #[arg(long, value_name = "TEXTO")]
    pub reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Notice {
    /// Pone el aviso en lugar de los resultados: los lectores reciben 200 y el aviso, nada más
    #[command(
        after_help = "Ejemplos:\n  difusor notice on --reason \"oficio 123\"\n  difusor notice on --reason \"oficio 123\" --text aviso.txt"
    )]
    On {
        #[command(flatten)]
        why: Why,
        /// Texto del aviso (párrafos separados por una línea vacía) o página HTML completa con <base
        #[arg(long, value_name = "ARCHIVO")]
        text: Option<PathBuf>,
    },
    /// Lo retira: los lectores ven de nuevo, byte por byte, lo que veían, o lo más nuevo que haya llegado
    #[command(after_help = "Ejemplos:\n  difusor notice off --reason \"oficio 124\"")]
    Off {
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Night {
    /// Cómo va el ritmo de los cortes, y cuánto tardó cada uno
    #[command(after_help = "Ejemplos:\n  difusor night show\n  difusor night show --json")]
    Show,
    /// Ya está el último corte: lo que llegue después espera su decisión
    #[command(after_help = "Ejemplos:\n  difusor night close --reason \"el instituto avisó por teléfono\"")]
    Close {
        #[command(flatten)]
        why: Why,
    },
    /// La noche sigue: lo que llegue se publica como siempre
    #[command(after_help = "Ejemplos:\n  difusor night reopen --reason \"faltaban actas\"")]
    Reopen {
        #[command(flatten)]
        why: Why,
    },
    /// Publica el paquete que llegó después del cierre
    #[command(
        after_help = "Ejemplos:\n  difusor night accept --reason \"corrección confirmada por el instituto\""
    )]
    Accept {
        #[command(flatten)]
        why: Why,
    },
}

/// Yes or no, where a rule said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Affected {
    #[value(name = "si", alias = "sí", alias = "yes")]
    Yes,
    #[value(name = "no")]
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Which {
    /// Solo los que siguen abiertos
    #[arg(long)]
    pub open: bool,
    /// Solo los que afectaron la publicación
    #[arg(long)]
    pub affected: bool,
    /// Solo los que empezaron a esta hora o después
    #[arg(long, value_name = "FECHA-HORA")]
    pub from: Option<String>,
    /// Solo los que empezaron antes de esta hora
    #[arg(long, value_name = "FECHA-HORA")]
    pub to: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Incidents {
    /// Los incidentes, del más antiguo al más nuevo
    #[command(
        after_help = "Ejemplos:\n  difusor incidents list\n  difusor incidents list --open\n  difusor incidents list --affected"
    )]
    List {
        #[command(flatten)]
        which: Which,
    },
    /// Un incidente con todas sus notas
    #[command(after_help = "Ejemplos:\n  difusor incidents show 3")]
    Show {
        /// Su número
        #[arg(value_name = "N")]
        number: u64,
    },
    /// Abre uno que ninguna regla vio
    #[command(
        after_help = "Ejemplos:\n  difusor incidents open \"se cayó el enlace de respaldo\"\n  difusor incidents open \"el portal no cargaba\" --affected si --since 2027-06-06T21:10"
    )]
    Open {
        /// Qué pasa o pasó
        #[arg(value_name = "TEXTO")]
        cause: String,
        /// Clase, por ejemplo connection, monitor u other
        #[arg(long, value_name = "CLASE", default_value = "other")]
        kind: String,
        /// Si afectó la publicación
        #[arg(long, value_name = "SI|NO")]
        affected: Option<Affected>,
        /// Desde cuándo; por omisión, ahora
        #[arg(long, value_name = "FECHA-HORA")]
        since: Option<String>,
    },
    /// Agrega una nota; también a uno cerrado
    #[command(
        after_help = "Ejemplos:\n  difusor incidents note 3 \"se llamó al instituto a las 21:14\"\n  difusor incidents note 3 \"falló su enlace\" --cause \"enlace del instituto\" --affected no"
    )]
    Note {
        /// Su número
        #[arg(value_name = "N")]
        number: u64,
        /// La nota
        #[arg(value_name = "TEXTO")]
        text: String,
        /// La causa, ahora que se sabe
        #[arg(long, value_name = "TEXTO")]
        cause: Option<String>,
        /// Si afectó la publicación
        #[arg(long, value_name = "SI|NO")]
        affected: Option<Affected>,
    },
    /// Lo cierra
    #[command(after_help = "Ejemplos:\n  difusor incidents close 3 \"se cambió al enlace de respaldo\"")]
    Close {
        /// Su número
        #[arg(value_name = "N")]
        number: u64,
        /// Qué se hizo
        #[arg(value_name = "TEXTO", default_value = "")]
        action: String,
    },
    /// Los escribe en CSV o JSON por la salida estándar
    #[command(
        after_help = "Ejemplos:\n  difusor incidents export > incidentes.csv\n  difusor incidents export --affected --format json"
    )]
    Export {
        #[command(flatten)]
        which: Which,
        /// csv o json
        #[arg(long, value_name = "FORMATO", default_value = "csv")]
        format: Format,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Alert {
    /// Envía un aviso de prueba y dice si llegó
    #[command(after_help = "Ejemplos:\n  difusor alert test\n  difusor alert test guardia")]
    Test {
        /// El canal; sin él, todos
        #[arg(value_name = "NOMBRE")]
        channel: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Monitor {
    /// Disponibilidad por hora, día y mes, y tiempos de respuesta, vistos desde fuera
    #[command(
        after_help = "Ejemplos:\n  difusor monitor show\n  difusor monitor show --from 2027-06-06T18:00 --to 2027-06-07T18:00 --json"
    )]
    Show {
        /// Desde cuándo; por omisión, el primer día que se guarda
        #[arg(long, value_name = "FECHA-HORA")]
        from: Option<String>,
        /// Hasta cuándo; por omisión, ahora
        #[arg(long, value_name = "FECHA-HORA")]
        to: Option<String>,
    },
}
