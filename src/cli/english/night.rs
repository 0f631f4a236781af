//! The verbs of the night in English.

/// Spanish, English.
pub(super) const TEXTS: &[(&str, &str)] = &[
    (
        "El aviso del instituto en lugar de los resultados, por su orden",
        "The institute's notice in the place of the results, on its order",
    ),
    (
        "Pone el aviso en lugar de los resultados: los lectores reciben 200 y el aviso, nada más",
        "Puts the notice in the place of the results: readers get 200 and the notice, nothing else",
    ),
    (
        "Texto del aviso (párrafos separados por una línea vacía) o página HTML completa con <base",
        "Text of the notice (paragraphs apart by an empty line) or a whole HTML page with <base",
    ),
    (
        "Lo retira: los lectores ven de nuevo, byte por byte, lo que veían, o lo más nuevo que haya llegado",
        "Removes it: readers see again, byte by byte, what they saw, or the newest that has come",
    ),
    ("El ritmo de los cortes, y cuándo termina la noche", "The rhythm of the cuts, and when the night ends"),
    (
        "Cómo va el ritmo de los cortes, y cuánto tardó cada uno",
        "How the rhythm of the cuts goes, and what each took",
    ),
    (
        "Ya está el último corte: lo que llegue después espera su decisión",
        "The last cut is in: what comes later waits for your decision",
    ),
    (
        "La noche sigue: lo que llegue se publica como siempre",
        "The night goes on: what comes is published as always",
    ),
    ("Publica el paquete que llegó después del cierre", "Publishes the package that came after the end"),
    (
        "Incidentes: qué pasó, cuándo, cuánto duró, qué se hizo",
        "Incidents: what happened, when, how long, what was done",
    ),
    ("Solo los que siguen abiertos", "Only those that last"),
    ("Solo los que afectaron la publicación", "Only those that affected publication"),
    ("Solo los que empezaron a esta hora o después", "Only those that began at this hour or later"),
    ("Solo los que empezaron antes de esta hora", "Only those that began before this hour"),
    ("Los incidentes, del más antiguo al más nuevo", "The incidents, oldest first"),
    ("Un incidente con todas sus notas", "One incident with all its notes"),
    ("Su número", "Its number"),
    ("Abre uno que ninguna regla vio", "Opens one that no rule saw"),
    ("Qué pasa o pasó", "What is or was the matter"),
    ("Clase, por ejemplo connection, monitor u other", "Kind, for example connection, monitor or other"),
    ("Si afectó la publicación", "Whether it affected publication"),
    ("Desde cuándo; por omisión, ahora", "Since when; by default, now"),
    ("Agrega una nota; también a uno cerrado", "Adds a note; to a closed one too"),
    ("La nota", "The note"),
    ("La causa, ahora que se sabe", "The cause, now that it is known"),
    ("Lo cierra", "Closes it"),
    ("Qué se hizo", "What was done"),
    ("Los escribe en CSV o JSON por la salida estándar", "Writes them as CSV or JSON to standard output"),
    ("csv o json", "csv or json"),
    (
        "Avisos a quien está de guardia: webhook, correo, programa",
        "Alerts to who is on duty: webhook, e-mail, program",
    ),
    ("Envía un aviso de prueba y dice si llegó", "Sends a test alert and tells whether it arrived"),
    ("El canal; sin él, todos", "The channel; without it, all"),
    ("Lo que ven los lectores, medido desde fuera", "What readers see, measured from outside"),
    (
        "Disponibilidad por hora, día y mes, y tiempos de respuesta, vistos desde fuera",
        "Availability by hour, day and month, and response times, seen from outside",
    ),
    (
        "Desde cuándo; por omisión, el primer día que se guarda",
        "Since when; by default, the first day that is kept",
    ),
    ("Hasta cuándo; por omisión, ahora", "Until when; by default, now"),
    (
        "Vuelve a mostrar un corte anterior; sin ID, en una terminal, deja elegir",
        "Shows an earlier cut again; without ID, at a terminal, lets you choose",
    ),
    ("El corte; sin él, se elige en la terminal", "The cut; without it, chosen at the terminal"),
    ("El anterior al vigente, sin preguntar", "The one before the live one, without asking"),
    (
        "Retiene lo que llegue durante este tiempo; sin él, el siguiente se publica como siempre",
        "Keeps back what comes for this long; without it, the next is published as always",
    ),
    ("Motivo, para la bitácora; en la terminal se pregunta", "Reason, for the ledger; asked at the terminal"),
    (
        "Retiene lo que llegue: se comprueba y se guarda, pero no se publica hasta que venza",
        "Keeps back what comes: verified and stored, but not published until it expires",
    ),
    ("Cuánto dura", "How long it lasts"),
    ("Termina la retención y publica lo más nuevo", "Ends the hold and publishes the newest"),
];

/// What is Spanish in the examples.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("aviso.txt", "notice.txt"),
    ("oficio 123", "letter 123"),
    ("oficio 124", "letter 124"),
    ("el instituto avisó por teléfono", "the institute telephoned"),
    ("faltaban actas", "tally sheets were missing"),
    ("corrección confirmada por el instituto", "correction confirmed by the institute"),
    ("se cayó el enlace de respaldo", "the backup link went down"),
    ("el portal no cargaba", "the portal did not load"),
    ("--affected si", "--affected yes"),
    ("se llamó al instituto a las 21:14", "called the institute at 21:14"),
    ("\"falló su enlace\"", "\"its link failed\""),
    ("enlace del instituto\"", "the institute's link\""),
    ("se cambió al enlace de respaldo", "switched to the backup link"),
    ("incidentes.csv", "incidents.csv"),
    ("alert test guardia", "alert test duty"),
    ("se revisa con el instituto", "being checked with the institute"),
    ("ya coincide", "it agrees now"),
];

/// Names of values.
pub(super) const VALUES: &[(&str, &str)] = &[("CLASE", "KIND"), ("SI|NO", "YES|NO"), ("FORMATO", "FORMAT")];
