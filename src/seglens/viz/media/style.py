"""The style sheets that travel inside every page and notebook view."""

STYLE = """
.seglens{--paper:#fff;--plate:#fff;--ink:#1b1d21;--quiet:#555a63;--rule:#d9dce1;--tint:#f3f4f6;
--accent:#1a4fa3;--warn:#8a4b00;color-scheme:light dark;box-sizing:border-box;
font:400 .9375rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
color:var(--ink);background:var(--paper);padding:1rem;max-width:88rem;margin:0 auto;
overflow-wrap:anywhere}
@media (prefers-color-scheme:dark){.seglens{--paper:#14161a;--plate:#1b1e24;--ink:#e8eaee;
--quiet:#a9afb9;--rule:#363b45;--tint:#23272f;--accent:#8db8ff;--warn:#f0b35e}}
.seglens *{box-sizing:border-box}
.seglens h1{font-size:1.4rem;line-height:1.25;font-weight:650;margin:0 0 .25rem}
.seglens h2{font-size:1.05rem;line-height:1.3;font-weight:650;margin:0 0 .15rem}
.seglens h3{font-size:.8125rem;font-weight:600;color:var(--quiet);margin:0 0 .35rem}
.seglens p{margin:0 0 .5rem}
.seglens .quiet,.seglens dt,.seglens figcaption{color:var(--quiet)}
.seglens a{color:var(--accent)}
.seglens :focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
.seglens .top{margin:0 0 1.25rem}
.seglens .scroll{overflow-x:auto;margin:.75rem 0}
.seglens table{border-collapse:collapse;width:100%;font-size:.875rem;margin:0}
.seglens th,.seglens td{padding:.4rem .9rem .4rem 0;text-align:left;vertical-align:baseline;
border-bottom:1px solid var(--rule);background:none;overflow-wrap:normal;min-width:4rem}
.seglens th{font-weight:600}.seglens thead th{color:var(--quiet);white-space:nowrap}
.seglens .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.seglens .cards{display:grid;gap:1.25rem;align-items:start;
grid-template-columns:repeat(auto-fit,minmax(min(100%,23rem),1fr))}
.seglens article{min-width:0}
.seglens .cards article{background:var(--plate);border:1px solid var(--rule);border-radius:.6rem;
padding:1rem}
.seglens .views{display:grid;gap:1.25rem;margin:.9rem 0;align-items:start;
grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr))}
.seglens .cards .views{grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem}
.seglens .cards .why{grid-column:1/-1;order:-1}
.seglens figure{margin:0;min-width:0}
.seglens .view{display:block;width:100%;height:auto;overflow:visible;background:var(--tint)}
.seglens .high{max-width:20rem}.seglens .slim{max-width:10rem}.seglens .tower{max-width:8rem;height:30rem}
.seglens .strip{height:4rem}
.seglens .small{image-rendering:pixelated}
.seglens .no-edge .edge{display:none}
.seglens .bar{display:block;width:100%;height:.6rem;margin:.6rem 0 .2rem;
outline:1px solid var(--rule)}
.seglens .ends{display:flex;justify-content:space-between;font-variant-numeric:tabular-nums;
font-size:.8125rem}
.seglens .search{margin:.9rem 0}.seglens .search svg{display:block;width:100%;max-width:36rem;height:auto}
.seglens .unit{text-align:center;font-size:.8125rem;color:var(--quiet)}
.seglens figcaption{font-size:.8125rem;margin-top:.4rem}
.seglens .state{color:var(--ink);font-weight:600}
.seglens .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem .9rem;margin:.6rem 0 0;
padding:0;font-size:.8125rem}
.seglens .legend li{display:flex;align-items:baseline;gap:.4rem;margin:0}
.seglens .legend svg{flex:none;width:.75rem;height:.75rem;align-self:center}
.seglens .controls{display:flex;flex-wrap:wrap;gap:.4rem 1.25rem;align-items:center;
font-size:.8125rem;margin:.6rem 0 0}
.seglens [hidden]{display:none}
.seglens .controls label{display:flex;align-items:center;gap:.45rem;min-height:1.75rem}
.seglens select{font:inherit;color:inherit;background:var(--plate);border:1px solid var(--rule);
border-radius:.3rem;padding:.15rem .3rem;max-width:16rem}
.seglens input{accent-color:var(--accent);margin:0}
.seglens input[type=range]{width:8rem}
.seglens output{min-width:3em;font-variant-numeric:tabular-nums}
.seglens dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,9.5rem),1fr));
gap:.6rem 1.25rem;font-size:.875rem;margin:0}
.seglens dt{font-weight:400;font-size:.8125rem}
.seglens dd{margin:0;font-variant-numeric:tabular-nums}
.seglens .notes{margin:.75rem 0;padding:.1rem 0 .1rem .75rem;border-left:3px solid var(--warn);
font-size:.875rem}
.seglens .notes h3{color:var(--warn);margin:0}
.seglens .notes ul{margin:0;padding-left:1.1rem}
.seglens details{margin-top:.75rem;font-size:.875rem}
.seglens summary{cursor:pointer;color:var(--quiet)}
.seglens .store{position:absolute;width:0;height:0;overflow:hidden}
"""

PAGE_STYLE = """
html{background:#fff}body{margin:0}
@media (prefers-color-scheme:dark){html{background:#14161a}}
@media (min-width:48rem){.seglens{padding:2rem}}
@media print{.seglens .controls{display:none}.seglens article{break-inside:avoid}}
"""
