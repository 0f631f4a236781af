(function () {
  "use strict";
  var CADA_MS = 2000;
  var COLORES = ["#2f6fb5", "#c8452f", "#3d8b3d", "#e08a1e", "#7a1f5c", "#5b4aa0", "#1b8a8f", "#8a6d3b", "#6b6780"];
  var url = document.querySelector('meta[name="avance"]').content;
  var visto = null;
  var desde = 0;

  function nodo(tipo, clase, texto) {
    var n = document.createElement(tipo);
    if (clase) n.className = clase;
    if (texto !== undefined) n.textContent = texto;
    return n;
  }

  function miles(n) {
    return Number(n).toLocaleString("es-MX");
  }

  function barra(clase, porcentaje) {
    var fondo = nodo(clase === "avance" ? "div" : "span", clase);
    var valor = nodo("i");
    valor.style.width = Math.min(100, Number(porcentaje)) + "%";
    fondo.appendChild(valor);
    return fondo;
  }

  function cifra(lista, nombre, valor) {
    var grupo = nodo("div");
    grupo.appendChild(nodo("dt", "", nombre));
    grupo.appendChild(nodo("dd", "", valor));
    lista.appendChild(grupo);
  }

  function eleccion(e) {
    var caja = nodo("section", "eleccion");
    caja.appendChild(nodo("h2", "", e.nombre));
    caja.appendChild(barra("avance", e.porcentaje_actas_capturadas));
    var lista = nodo("dl", "cifras");
    cifra(lista, "Actas capturadas", e.porcentaje_actas_capturadas + " %");
    cifra(lista, "De las esperadas", miles(e.actas_capturadas) + " / " + miles(e.actas_esperadas));
    cifra(lista, "Participación", e.participacion + " %");
    caja.appendChild(lista);
    e.votos.forEach(function (v, i) {
      var fila = nodo("div", "voto");
      fila.appendChild(nodo("b", "", v.partido));
      fila.appendChild(barra("", v.porcentaje));
      fila.appendChild(nodo("em", "", v.porcentaje + " %"));
      fila.style.setProperty("--color", COLORES[i % COLORES.length]);
      fila.title = miles(v.votos) + " votos simulados";
      caja.appendChild(fila);
    });
    return caja;
  }

  function muestra(a) {
    var corte = a.ultimoCorte ? a.ultimoCorte.fecha + " " + a.ultimoCorte.hora : "sin hora";
    if (corte === visto) return;
    document.getElementById("hora").textContent = a.ultimoCorte ? a.ultimoCorte.hora : "--:--";
    document.getElementById("fecha").textContent =
      (a.ultimoCorte ? a.ultimoCorte.fecha + " " : "") + (a.zona || "") + (a.ultimo_corte ? " · último corte" : "");
    var lugar = document.getElementById("elecciones");
    lugar.replaceChildren.apply(lugar, a.elecciones.map(eleccion));
    document.body.classList.remove("nuevo");
    void document.body.offsetWidth;
    document.body.classList.add("nuevo");
    visto = corte;
    desde = Date.now();
  }

  function estado(texto, fallo) {
    document.getElementById("estado").textContent = texto;
    document.body.classList.toggle("fallo", fallo);
  }

  function pregunta() {
    fetch(url, { cache: "no-cache" })
      .then(function (r) {
        if (!r.ok) throw new Error(r.status);
        return r.json();
      })
      .then(function (a) {
        muestra(a);
        estado("corte recibido hace " + Math.round((Date.now() - desde) / 1000) + " s; se pregunta cada 2 s", false);
      })
      .catch(function () {
        estado("sin respuesta; se sigue mostrando el último corte", true);
      })
      .then(function () {
        setTimeout(pregunta, CADA_MS);
      });
  }

  pregunta();
})();
