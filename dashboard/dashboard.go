// Package dashboard shows queues, jobs, failures and workers in a browser, and lets people act on them.
//
// It is an http.Handler that an application mounts wherever it likes:
//
//	h, err := dashboard.New(q, dashboard.Config{Access: access})
//	http.Handle("/admin/queue/", http.StripPrefix("/admin/queue", h))
//
// Without an Access function it answers only a browser on the same machine. Pages work without JavaScript; with it they refresh
// themselves. The same data is served as JSON under api/v1/.
package dashboard

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// Config holds a dashboard's settings. Its zero value serves browsers on the same machine, with all rights.
type Config struct {
	// Access returns the sender of a request, and their role. On an error the answer is 403; the error's text is not shown. Default nil:
	// only requests from this machine, for this machine (see Hosts) and without a proxy are served, and they may do everything.
	Access func(*http.Request) (User, error)

	// Hosts are names, without a port, by which browsers on this machine may call the dashboard, beside localhost and loopback addresses.
	// Other names are refused, because a foreign site could resolve its name to this machine (DNS rebinding) and act as the user.
	Hosts []string

	// Name is the name of this system, such as "shop staging". Default empty: no name.
	Name string

	// Colour marks the system: red, orange, green, blue, purple or grey. Default empty: no colour.
	Colour string

	// ReadOnly lets everyone only look, whatever their role.
	ReadOnly bool

	// Refresh is how often a visible page refreshes itself, and how old its data may be. Default 2 s, at least 500 ms.
	Refresh time.Duration

	// Redact reports whether to hide a value in jobs' data, beside those that are always hidden: members whose names contain password,
	// secret, token and the like. It is called for each value, with the job's name (empty in a search for all names) and the path of member
	// names that leads to the value. Default nil. Hidden values can be neither seen nor searched, and an edit keeps them.
	Redact func(job string, path []string, value []byte) bool

	// Views are searches that the pages of jobs and failed jobs show as links, for everyone. Default nil: none.
	Views []View

	// TraceURL is the page of a trace, with {trace} in place of its id, such as "https://tempo.example.com/trace/{trace}". Jobs that were
	// pushed in a trace link to it. Default empty: no links.
	TraceURL string

	// TrustedOrigins are other sites, such as "https://admin.example.com", whose pages may send forms here. Default nil: no other site.
	TrustedOrigins []string

	// FrameAncestors are the sites that may show the dashboard in a frame, as in Content-Security-Policy. Default nil: no site.
	FrameAncestors []string

	// Path is where the dashboard is mounted, such as "/admin/queue/", if the request's path still has it and a router other than
	// http.ServeMux hides it. Default: found from the request.
	Path string
}

// Dashboard is the handler. It is safe for concurrent use; there is nothing to close.
type Dashboard struct {
	config   Config
	queue    *sqlqueue.Queue
	operator *operator.Operator
	origins  *http.CrossOriginProtection
	routes   []route
	pages    map[*language]map[string]*template.Template
	assets   map[string]asset
	policy   string // Content-Security-Policy
	health   health
	searches chan struct{} // the places of costly searches

	now     shared[snapshot]
	history shared[operator.Counts]        // by minute
	byStep  shared[operator.Counts]        // by chartStep
	groups  shared[[]operator.FailedGroup] // of all failed jobs

	schedules shared[[]scheduleRow]
	permits   shared[permits]
	batches   shared[[]operator.Batch]
	errs      [3]shared[[]operator.ErrorGroup] // of each of errorSpans

	names    [len(nameSpans)]shared[operator.NameCounts]
	allSizes [len(chartSpans)]shared[[]operator.SizePart] // of all queues
}

// New returns the dashboard of a Queue. It returns an error if the Config is wrong.
func New(q *sqlqueue.Queue, config Config) (*Dashboard, error) {
	if q == nil {
		return nil, errors.New("dashboard: the queue is nil")
	}
	if config.Refresh == 0 {
		config.Refresh = 2 * time.Second
	}
	if config.Refresh < 500*time.Millisecond {
		return nil, fmt.Errorf("dashboard: a refresh every %v: it must be at least 500ms", config.Refresh)
	}
	if !colours[config.Colour] {
		return nil, fmt.Errorf("dashboard: the colour %q is unknown: use red, orange, green, blue, purple or grey", config.Colour)
	}
	if config.Path != "" && (!strings.HasPrefix(config.Path, "/") || !strings.HasSuffix(config.Path, "/")) {
		return nil, fmt.Errorf("dashboard: the path %q: it must begin and end with a slash", config.Path)
	}
	if err := checkTraceURL(config.TraceURL); err != nil {
		return nil, err
	}
	d := &Dashboard{config: config, queue: q, operator: operator.New(q), origins: http.NewCrossOriginProtection()}
	d.searches = make(chan struct{}, searchesAtOnce)
	for _, origin := range config.TrustedOrigins {
		if err := d.origins.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("dashboard: trusted origin: %w", err)
		}
	}
	if err := d.checkViews(); err != nil {
		return nil, err
	}
	var err error
	if d.policy, err = contentPolicy(config.FrameAncestors); err != nil {
		return nil, err
	}
	if d.assets, err = readAssets(); err != nil {
		return nil, err
	}
	d.pages = map[*language]map[string]*template.Template{}
	for _, l := range languages {
		if d.pages[l], err = parsePages(l); err != nil {
			return nil, err
		}
	}
	d.routes = routes()
	d.now = shared[snapshot]{fresh: config.Refresh * 9 / 10, load: d.loadSnapshot} // a little less than a page's own interval
	d.history = shared[operator.Counts]{fresh: time.Minute, load: d.loadCounts(time.Minute)}
	d.byStep = shared[operator.Counts]{fresh: time.Minute, load: d.loadCounts(chartStep)}
	d.groups = shared[[]operator.FailedGroup]{fresh: groupsFresh, load: d.loadGroups}
	d.schedules = shared[[]scheduleRow]{fresh: schedulesFresh, load: d.loadSchedules}
	d.permits = shared[permits]{fresh: config.Refresh * 9 / 10, load: d.loadPermits}
	d.batches = shared[[]operator.Batch]{fresh: batchesFresh, load: d.loadBatches}
	for i, span := range errorSpans {
		d.errs[i].fresh, d.errs[i].load = groupsFresh, d.loadErrors(span.Duration)
	}
	for i, span := range nameSpans {
		d.names[i].fresh, d.names[i].load = span.fresh, d.loadNames(span.last)
	}
	for i, span := range chartSpans {
		d.allSizes[i].fresh, d.allSizes[i].load = sizesFresh, d.loadSizes(span.last)
	}
	return d, nil
}

// spoil makes the next request read anew what may have changed.
func (d *Dashboard) spoil() {
	d.now.spoil()
	d.groups.spoil()
	d.schedules.spoil()
	d.permits.spoil()
	d.batches.spoil()
	for i := range d.errs {
		d.errs[i].spoil()
	}
}

// traceID is the placeholder of a trace's id in Config.TraceURL.
const traceID = "{trace}"

func checkTraceURL(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(address, traceID) {
		return fmt.Errorf("dashboard: the trace URL %q: it must be like https://tempo.example.com/trace/%s",
			hideCredentials(address), traceID)
	}
	return nil
}

var colours = map[string]bool{"": true, "red": true, "orange": true, "green": true, "blue": true, "purple": true, "grey": true}
