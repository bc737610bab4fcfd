package dashboard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// visit is one request, with its user and route.
type visit struct {
	*Dashboard
	*language
	w        http.ResponseWriter
	r        *http.Request
	query    url.Values // of the URL: names are here, byte for byte
	user     User
	operator *operator.Operator // records the user's changes
	path     string             // below the dashboard
	base     string             // leads back to its root
	id       int64              // from the path
}

const (
	maxBody      = 1 << 20 // bytes of a form
	patience     = 5 * time.Second
	stepPatience = 30 * time.Second // of a request that changes many rows
)

// problem is an error in a request, for its sender.
type problem struct {
	status int
	error
}

func (p *problem) Unwrap() error { return p.error }

func (v *visit) wrong(status int, key string, a ...any) error {
	return &problem{status, say(key, a...)}
}

// ServeHTTP answers a request.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.setHeaders(w.Header())
	v := &visit{Dashboard: d, language: languageOf(r), w: w, r: r, query: r.URL.Query(), path: d.localPath(r)}
	v.base = baseOf(v.path)
	if err := v.serve(); err != nil { //nolint:contextcheck // the visit has the request, and with it the context
		v.r = r       // its own context, without the time limit
		v.refuse(err) //nolint:contextcheck // the same
	}
}

// serve checks the user's rights, and answers by the route.
func (v *visit) serve() error {
	var refused string
	if v.user, refused = v.admit(v.r); refused != "" {
		if refused == "refused.host" {
			return v.wrong(http.StatusForbidden, refused, v.r.Host)
		}
		return v.wrong(http.StatusForbidden, refused)
	}
	v.operator = v.Dashboard.operator.As(v.who(), "dashboard")
	if err := v.origins.Check(v.r); err != nil {
		return v.wrong(http.StatusForbidden, "refused.origin")
	}
	if v.path == "" {
		v.redirect(path.Base(v.r.URL.Path) + "/")
		return nil
	}
	if name, ok := strings.CutPrefix(v.path, "/assets/"); ok {
		v.serveAsset(v.w, v.r, name)
		return nil
	}
	found, id, allowed := v.find(v.r.Method, v.path)
	if len(allowed) > 0 {
		v.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return v.wrong(http.StatusMethodNotAllowed, "refused.method")
	}
	if found == nil {
		return v.wrong(http.StatusNotFound, "refused.nothing")
	}
	if !v.may(found.needs) {
		return v.wrong(http.StatusForbidden, "refused.right")
	}
	limit := patience
	for _, long := range []string{"/steps/", "/bulk/", "/batches/"} {
		if strings.HasPrefix(v.path, long) {
			limit = stepPatience
		}
	}
	ctx, stop := context.WithTimeout(v.r.Context(), limit)
	defer stop()
	v.id, v.r = id, v.r.WithContext(ctx)
	if v.r.Method == http.MethodPost {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxBody)
		if err := v.r.ParseForm(); err != nil {
			return v.wrong(http.StatusRequestEntityTooLarge, "refused.body", maxBody>>20)
		}
		defer v.spoil()
	}
	err := found.serve(v)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && v.answers() {
		return v.wrong(http.StatusServiceUnavailable, "search.slow", limit)
	}
	return err
}

// answers reports whether the database answers. If so, a request that took too long was too large.
func (v *visit) answers() bool {
	ctx, stop := context.WithTimeout(context.WithoutCancel(v.ctx()), time.Second)
	defer stop()
	_, err := v.operator.Workers(ctx)
	return err == nil
}

// who is the user's name in the list of changes.
func (v *visit) who() string {
	if v.config.Access == nil {
		return "localhost"
	}
	return cmp.Or(v.user.Name, "unnamed")
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// form is a field of a posted form, with \n at the end of lines.
func (v *visit) form(name string) string {
	return strings.ReplaceAll(v.r.PostForm.Get(name), "\r\n", "\n")
}

// may reports whether the visitor has a right, for buttons on a page.
func (v *visit) may(p permission) bool { return v.Dashboard.may(v.user, p) }

// refuse answers with an error.
func (v *visit) refuse(err error) {
	var asked *problem
	status, text := http.StatusServiceUnavailable, ""
	switch {
	case errors.As(err, &asked):
		status, text = asked.status, v.reason(asked)
	case isGone(err):
		status, text = http.StatusNotFound, v.say("refused.gone")
	case v.r.Context().Err() != nil && errors.Is(context.Cause(v.r.Context()), context.Canceled):
		return // nobody waits for an answer
	default:
		since := v.health.down()
		text = v.say("away", stamp(since), v.roughly(time.Since(since)), hideCredentials(err.Error()))
		v.w.Header().Set("Retry-After", "2")
	}
	if strings.HasPrefix(v.path, "/api/") || strings.HasPrefix(v.path, "/steps/") {
		v.writeJSON(status, map[string]string{"error": text})
		return
	}
	title := v.say(fmt.Sprintf("status.%d", status))
	if asked == nil && status == http.StatusServiceUnavailable {
		title = v.say("away.title")
	}
	page := &page{Title: title, Error: text, Live: asked == nil && status == http.StatusServiceUnavailable}
	if err := v.render(status, "error", page); err != nil {
		http.Error(v.w, text, status)
	}
}

// redirect sends the browser to a page after a POST, by a path that is relative to this one.
func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// done redirects to a page, which then reports what was done.
func (v *visit) done(to string, query url.Values, said string, n int) error {
	if query == nil {
		query = url.Values{}
	}
	query.Set("said", said)
	if n >= 0 {
		query.Set("n", fmt.Sprint(n))
	}
	v.redirect(v.base + to + "?" + query.Encode())
	return nil
}

// write sends a body, or 304 if the browser has it already.
func (v *visit) write(status int, kind string, body []byte) {
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Add("Vary", "Accept-Encoding")
	if status == http.StatusOK && v.r.Method != http.MethodPost {
		sum := fnv.New64a()
		_, _ = sum.Write(body)
		tag := fmt.Sprintf(`W/"%016x"`, sum.Sum64())
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, no-cache, no-store")
		if v.r.Header.Get("If-None-Match") == tag {
			v.w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if len(body) > 1000 && strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	v.w.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		_, _ = v.w.Write(body)
	}
}

func (v *visit) writeJSON(status int, value any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(true)
	if err := encoder.Encode(value); err != nil {
		status = http.StatusInternalServerError
		body.Reset()
		body.WriteString(`{"error":"the answer could not be encoded"}` + "\n")
	}
	v.write(status, "application/json; charset=utf-8", body.Bytes())
}

// isAsked reports whether an error of a change is about the request, and not about the database.
func (v *visit) isAsked(err error) bool {
	var duplicate *sqlqueue.DuplicateError
	if errors.As(err, &duplicate) || errors.Is(err, operator.ErrReserved) || errors.Is(err, operator.ErrNotReserved) || isGone(err) {
		return true
	}
	_, alive := v.operator.Workers(v.ctx())
	return alive == nil
}

// isGone reports whether an error says that the requested thing does not exist.
func isGone(err error) bool {
	for _, gone := range []error{
		operator.ErrNotFound, operator.ErrNoWorker, operator.ErrNoSchedule, operator.ErrNoSubscription, sqlqueue.ErrNoBatch,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// refusal is the reason why something could not be changed, for the user.
func (v *visit) refusal(err error) error {
	if isGone(err) || !v.isAsked(err) {
		return err
	}
	return &problem{http.StatusConflict, said(err)}
}
