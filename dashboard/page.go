package dashboard

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"hash/fnv"
	"html/template"
	"maps"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

//go:embed assets templates
var files embed.FS

// page is the data of a template.
type page struct {
	Title string
	Here  string // the key of the place in the navigation
	Error string
	Live  bool // it refreshes itself
	D     any  // its content

	// The other fields are filled in for every page.
	Base    string
	System  string
	Frozen  bool // nobody may change anything
	Colour  string
	User    User
	Said    string
	Undo    string // takes back what Said says
	Failed  string // how many failed jobs there are, for the navigation
	Now     time.Time
	Refresh int64 // milliseconds
	v       *visit
}

// Lang is the page's language.
func (p *page) Lang() string { return p.v.Code }

// Languages are those to choose from.
func (p *page) Languages() []*language { return languages }

// Cut is when the page was made, for a form that restores jobs.
func (p *page) Cut() int64 { return p.Now.UnixMicro() }

// Back is the page's address below the dashboard's root.
func (p *page) Back() string {
	query := maps.Clone(p.v.query)
	query.Del("part")
	query.Del("said")
	query.Del("n")
	query.Del("undo")
	path := strings.TrimPrefix(p.v.path, "/")
	if found, _, _ := p.v.find(http.MethodGet, p.v.path); found == nil {
		return ""
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// May reports whether the visitor may do what a button does, by the route that it leads to.
func (p *page) May(method, pattern string) (bool, error) {
	for _, r := range p.v.routes {
		if r.method == method && r.pattern == pattern {
			return p.v.may(r.needs), nil
		}
	}
	return false, fmt.Errorf("there is no route %s %s", method, pattern)
}

// place is a page in the navigation.
type place struct{ Key, Path string }

var places = []place{
	{"overview", ""},
	{"jobs", "jobs"},
	{"done", "done"},
	{"failed", "failed"},
	{"errors", "errors"},
	{"names", "names"},
	{"workers", "workers"},
	{"schedules", "schedules"},
	{"batches", "batches"},
	{"subscriptions", "subscriptions"},
	{"activity", "activity"},
	{"push", "push"},
	{"settings", "settings"},
}

// Places are those that the visitor may see.
func (p *page) Places() (all []place, err error) {
	for _, at := range places {
		may, err := p.May(http.MethodGet, "/"+at.Path)
		if err != nil {
			return nil, err
		}
		if may {
			all = append(all, at)
		}
	}
	return all, nil
}

// Ago writes a time relative to the database's clock, which was read up to a refresh ago: what has happened since is now, and not to come.
func (p *page) Ago(t time.Time) string {
	if t.After(p.Now) && t.Sub(p.Now) <= p.v.config.Refresh {
		t = p.Now
	}
	return p.v.relative(t, p.Now)
}

// Age is the time since then.
func (p *page) Age(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return p.v.roughly(p.Now.Sub(t))
}

// Asset is the address of a file, which changes with its content.
func (p *page) Asset(name string) (string, error) {
	a, ok := p.v.assets[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return p.Base + "assets/" + name + "?" + a.tag, nil
}

var functions = template.FuncMap{
	"num": grouped, "upto": upTo, "visible": visible, "brief": brief, "stamp": stamp, "query": joined,
	"num64":     func(n int) string { return grouped(int64(n)) },
	"chartpart": newChartPart,
	"undo":      func(undo, base string, cut int64) undoPart { return undoPart{undo, base, cut} },
	"sortable":  newSortable,
	"missed": func() []sqlqueue.Missed {
		return []sqlqueue.Missed{sqlqueue.OneMissed, sqlqueue.SkipMissed, sqlqueue.AllMissed}
	},
	"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}

// undoPart is the data of the button that restores what was cancelled.
type undoPart struct {
	Undo, Base string
	Cut        int64
}

// chartPart is the data of the chart's template. Name is the queue's, if it is the chart of a single queue.
type chartPart struct {
	C      chart
	Range  string
	Ranges []string
	Q      bool
	Name   string
}

func newChartPart(c chart, span string, spans []string, ofQueue bool, name string) chartPart {
	return chartPart{c, span, spans, ofQueue, name}
}

// parsePages reads the templates for a language: each page with the layout and the parts that pages share.
func parsePages(l *language) (map[string]*template.Template, error) {
	words := template.FuncMap{"t": l.say, "lasted": l.lasted, "seconds": l.seconds}
	shared, err := template.New("").Funcs(functions).Funcs(words).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	entries, err := files.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, e := range entries {
		if e.Name() == "layout.html" || e.Name() == "parts.html" {
			continue
		}
		t, err := shared.Clone()
		if err == nil {
			t, err = t.ParseFS(files, "templates/"+e.Name())
		}
		if err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(e.Name(), ".html")] = t
	}
	return pages, nil
}

// render answers with a page, or, when it is asked to renew itself, with the part of it that changes.
func (v *visit) render(status int, name string, p *page) error {
	p.v, p.Base, p.System, p.Colour, p.User, p.Frozen = v, v.base, v.config.Name, v.config.Colour, v.user, v.config.ReadOnly
	p.Refresh = v.config.Refresh.Milliseconds()
	p.Now = time.Now()
	if name != "error" {
		if s, err := v.look(); err == nil {
			p.Now = s.Now
			var failed int64
			more := ""
			for _, q := range s.Queues {
				add(&failed, q.Failed)
				if q.CountedTo > 0 && q.Failed >= q.CountedTo {
					more = "+"
				}
			}
			if failed > 0 {
				p.Failed = grouped(failed) + more
			}
		}
	}
	if said := v.query.Get("said"); said != "" {
		if text, ok := v.words["said."+said]; ok {
			n, _ := strconv.ParseInt(v.query.Get("n"), 10, 64)
			p.Said = strings.ReplaceAll(text, "%s", grouped(n))
			if undo := v.query.Get("undo"); said == "cancelled" && isUndo(undo) && v.may(cancel) {
				p.Undo = undo
			}
		}
	}
	part := "layout"
	if v.query.Get("part") == "live" {
		part = "live"
	}
	var body bytes.Buffer
	if err := v.pages[v.language][name].ExecuteTemplate(&body, part, p); err != nil {
		return &problem{http.StatusInternalServerError, fmt.Errorf("page %s: %w", name, err)}
	}
	v.write(status, "text/html; charset=utf-8", body.Bytes())
	return nil
}

// renderPart answers with a part of a page, for its script.
func (v *visit) renderPart(name, part string, data any) error {
	var body bytes.Buffer
	if err := v.pages[v.language][name].ExecuteTemplate(&body, part, data); err != nil {
		return &problem{http.StatusInternalServerError, fmt.Errorf("page %s: %w", name, err)}
	}
	v.write(http.StatusOK, "text/html; charset=utf-8", body.Bytes())
	return nil
}

// asset is a file of the dashboard's own.
type asset struct {
	kind   string
	body   []byte
	zipped []byte
	tag    string
}

func readAssets() (map[string]asset, error) {
	entries, err := files.ReadDir("assets")
	if err != nil {
		return nil, err
	}
	all := map[string]asset{}
	for _, e := range entries {
		body, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := fnv.New64a()
		_, _ = sum.Write(body)
		all[e.Name()] = asset{mime.TypeByExtension(path.Ext(e.Name())), body, compress(body), fmt.Sprintf("%016x", sum.Sum64())}
	}
	return all, nil
}

func (d *Dashboard) serveAsset(w http.ResponseWriter, r *http.Request, name string) {
	a, ok := d.assets[name]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "no-cache")
	if r.URL.RawQuery == a.tag {
		h.Set("Cache-Control", "max-age=31536000, immutable")
	}
	h.Set("Vary", "Accept-Encoding")
	body := a.body
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = a.zipped
	}
	if r.Method == http.MethodGet {
		_, _ = w.Write(body)
	}
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}
