package browser

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// anyone lets everyone in, as behind a proxy that asks who it is.
func anyone(*http.Request) (dashboard.User, error) {
	return dashboard.User{Name: "ann", Role: dashboard.Admin}, nil
}

// TestMounted: under a path, whether or not it is stripped, and behind a proxy with TLS that adds another, all links lead on.
func TestMounted(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		h := s.handler(dashboard.Config{Access: anyone})
		stripped, whole := http.NewServeMux(), http.NewServeMux()
		stripped.Handle("/admin/queue/", http.StripPrefix("/admin/queue", h))
		whole.Handle("/admin/queue/", h)
		behind, err := url.Parse(serve(t, stripped))
		if err != nil {
			t.Fatal(err)
		}
		proxy := httptest.NewUnstartedServer(http.StripPrefix("/ops", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.SetXForwarded()
			r.Out.Host = r.In.Host // as proxies are told to, for the check of a form's origin
		}}))
		proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that the browser tries first
		proxy.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		proxy.StartTLS()
		t.Cleanup(proxy.Close)
		for _, root := range []string{
			serve(t, stripped) + "admin/queue/", serve(t, whole) + "admin/queue/", proxy.URL + "/ops/admin/queue/",
		} {
			b := newTab(t)
			b.open(root)
			for _, place := range []string{"jobs", "failed", "workers", "push"} {
				b.follow(fmt.Sprintf("nav a[href$=%s]", place))
				b.until(`location.href === %s && getComputedStyle(document.querySelector("header.top")).display === "flex"`, root+place)
			}
			b.follow("nav a")
			b.follow(`#q-mail form button`)
			b.shows("Paused.")
			b.follow(`#q-mail form button`)
			b.shows("Resumed.")
			b.follow("nav a[href$=jobs]")
			b.follow("td a[href^=jobs]")
			b.until(`performance.getEntriesByType("resource").some((e) => e.name.includes("part=live") && e.responseStatus === 200)`)
			b.follow(".brand")
			b.until(`location.href === %s`, root)
		}
	})
}

// TestOtherSites: a page of another site can neither send a form, nor point its own name here, nor show the dashboard in a frame.
func TestOtherSites(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		evil := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			if r.URL.Path == "/frame" {
				_, _ = fmt.Fprintf(w, `<iframe src="%s"></iframe>`, s.url)
				return
			}
			_, _ = fmt.Fprintf(w, `<form method="post" action="%squeue/pause?name=mail"><button>win</button></form>`, s.url)
		}))
		b := newTab(t)
		b.open(strings.Replace(evil, "127.0.0.1", "evil.example", 1))
		b.follow("button")
		b.shows("Another site sent this form")
		b.open(strings.Replace(s.url, "127.0.0.1", "evil.example", 1))
		b.shows("does not answer by the name")
		b.heard() // the two answers of 403
		b.open(evil + "frame")
		b.until(`document.querySelector("iframe").contentDocument === null`)
		if said := strings.Join(b.heard(), "\n"); !strings.Contains(said, "frame") {
			t.Errorf("the browser showed it in a frame: %q", said)
		}
		if s.paused("mail") {
			t.Error("the queue was paused by another site")
		}
		b.open(s.url + "jobs?q=https://evil.example")
		b.until(`[...document.links].every((a) => a.host === location.host)`)
	})
}

// TestServerAway: a page whose server is away says since when, keeps what it shows, asks less and less often, and comes back by itself.
func TestServerAway(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.fill()
		var asked atomic.Int64
		h := s.handler(dashboard.Config{})
		counting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			h.ServeHTTP(w, r)
		})
		address, stop := serveAt(t, "127.0.0.1:0", counting)
		b := newTab(t)
		b.open("http://" + address + "/")
		stop()
		b.shows("not live since")
		b.shows("images")
		b.heard() // that the server did not answer
		before := asked.Load()
		_, stop = serveAt(t, address, counting)
		t.Cleanup(stop)
		s.push("newcomer", "a", `{}`)
		b.shows("newcomer")
		b.until(`!("off" in document.querySelector("#state").dataset)`)
		b.heard()
		const most = 5
		if n := asked.Load() - before; n > most {
			t.Errorf("%d requests came at once", n)
		}
	})
}

// TestOtherClock: a browser far from the database's clock and zone sees how long ago things were by the database's clock.
func TestOtherClock(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		s.fill()
		id := s.push("mail", "remind", `{}`, sqlqueue.Delay(90*time.Minute))
		b := newTab(t, emulation.SetTimezoneOverride("Pacific/Chatham"))
		b.open(fmt.Sprintf("%sjobs/%d", s.url, id))
		b.shows("in 1h")
		b.shows(time.Now().UTC().Add(90 * time.Minute).Format("2006-01-02 15:"))
		if is[int](b, `new Date().getTimezoneOffset()`) == 0 {
			t.Error("the browser is not abroad")
		}
	})
}

// TestManyViewers: a hundred who look ask the database as often as one.
func TestManyViewers(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		h := s.handler(dashboard.Config{Refresh: time.Minute})
		root := serve(t, h)
		b := newTab(t)
		b.open(root)
		etag := func() string {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, root+"?part=live", nil)
			if err != nil {
				t.Error(err)
				return ""
			}
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return ""
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
			return answer.Header.Get("Etag")
		}
		first := etag()
		s.push("newcomer", "a", `{}`) // would be seen by whoever asks the database
		var viewers sync.WaitGroup
		for range 100 {
			viewers.Go(func() {
				if tag := etag(); tag != first {
					t.Error("a viewer had the database asked again")
				}
			})
		}
		viewers.Wait()
	})
}

// TestPrintAndZoom: on paper there are no buttons; at 200 %, which is half of the width, nothing is lost.
func TestPrintAndZoom(t *testing.T) {
	once(t, func(t *testing.T, s *site) {
		s.fill()
		b := newTab(t)
		for _, path := range []string{"", "jobs", "failed", "workers", "jobs/7", "queue?name=mail"} {
			b.open(s.url + path)
			b.run(emulation.SetDeviceMetricsOverride(640, 400, 2, false))
			b.accessible("/" + path + " at 200 %")
			b.run(emulation.SetEmulatedMedia().WithMedia("print"))
			if shown := is[[]string](b, `[...document.querySelectorAll("button, .btn, header.top")].filter((e) => e.checkVisibility()).
				map((e) => e.textContent.trim())`); len(shown) > 0 {
				t.Errorf("/%s prints %q", path, shown)
			}
			b.run(emulation.SetEmulatedMedia().WithMedia(""))
		}
	})
}
