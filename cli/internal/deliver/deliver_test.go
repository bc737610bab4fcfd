package deliver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type job = worker.Job[json.RawMessage]

func aJob() *job {
	return &job{
		Data:    json.RawMessage(`{"html":"<b>&\u00e9"}`),
		JobInfo: worker.JobInfo{ID: 42, Queue: "orders", Name: "send_invoice", Attempts: 3},
	}
}

// serve starts a server, and returns its address.
func serve(t *testing.T, handler http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// post posts a job.
func post(ctx context.Context, t *testing.T, to *Target) error {
	t.Helper()
	client := New(false)
	defer client.Close()
	return client.Post(ctx, to, aJob(), ID(aJob().JobInfo, "here"), 2*time.Second)
}

func target(t *testing.T, address string, secret *Secret, headers map[string]string) *Target {
	t.Helper()
	to, err := NewTarget(address, secret, headers)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestARequestHasTheTrace(t *testing.T) {
	var got string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Get("Traceparent") })
	traced := aJob()
	for _, want := range []sqlqueue.Trace{"", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} {
		traced.Trace = want
		client := New(false)
		defer client.Close()
		if err := client.Post(t.Context(), target(t, url, nil, nil), traced, "id", 0); err != nil || got != string(want) {
			t.Errorf("traceparent is %q, want %q: %v", got, want, err)
		}
	}
}

func TestE9_ARequestIsSigned(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	var got *http.Request
	var content []byte
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got = r
		content, _ = io.ReadAll(r.Body)
	})
	before := time.Now().Unix()
	if err := post(t.Context(), t, target(t, url+"/jobs?a=b#c", secret, map[string]string{"X-Shop": "7"})); err != nil {
		t.Fatal(err)
	}
	if want := `{"id":42,"queue":"orders","name":"send_invoice","attempts":3,"data":{"html":"<b>&\u00e9"}}`; string(content) != want {
		t.Errorf("the body is %s, want %s", content, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "sqlqueue",
		"Webhook-Id": ID(aJob().JobInfo, "here"), "X-Shop": "7", "Accept-Encoding": "", "Authorization": "",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	if got.Method != http.MethodPost || got.RequestURI != "/jobs?a=b" {
		t.Errorf("the request is %s %s", got.Method, got.RequestURI)
	}
	timestamp := got.Header.Get("Webhook-Timestamp")
	if n, _ := strconv.ParseInt(timestamp, 10, 64); n < before || n > time.Now().Unix() {
		t.Errorf("the timestamp is %s", timestamp)
	}
	key, _ := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", ID(aJob().JobInfo, "here"), timestamp, content)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Header.Get("Webhook-Signature") != want {
		t.Errorf("the signature is %q, want %q", got.Header.Get("Webhook-Signature"), want)
	}
}

// The example of Standard Webhooks' own libraries.
func TestE9_TheSignatureIsThatOfStandardWebhooks(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("the signature is %s, want %s", got, want)
	}
}

func TestE9_TheURLsUserIsSent(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "ü" || password != "p@ss" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	if err := post(t.Context(), t, target(t, strings.Replace(url, "://", "://%C3%BC:p%40ss@", 1), nil, nil)); err != nil {
		t.Error(err)
	}
}

func TestE9_WithoutASecretThereIsNoSignature(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, signed := r.Header["Webhook-Signature"]; signed || r.Header.Get("Webhook-Id") != ID(aJob().JobInfo, "here") {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	if err := post(t.Context(), t, target(t, url, nil, nil)); err != nil {
		t.Error(err)
	}
}

func TestE9_TheStatusDecides(t *testing.T) {
	for name, c := range map[string]struct {
		code   int
		header map[string]string
		body   string
		want   string // of the error; empty: nil
		like   error  // worker.Fail or worker.Release; nil: an ordinary error
	}{
		"200": {code: 200, body: "fine"},
		"204": {code: 204},
		"299": {code: 299},
		"410": {
			code: 410, body: "gone", want: "answered 410 Gone: gone", like: worker.Fail(errors.New("URL answered 410 Gone: gone")),
		},
		"400": {code: 400, body: "bad\n\n \x1b[31mdata\x00", want: "answered 400 Bad Request: bad [31mdata"},
		"599": {code: 599, want: "answered 599"},
		"429": {code: 429, want: "answered 429 Too Many Requests"},
		"429, seconds": {
			code: 429, header: map[string]string{"Retry-After": "30"}, body: "slowly",
			want: "answered 429 Too Many Requests: slowly: throttled for 30s", like: worker.Throttle(30 * time.Second),
		},
		"503, a century": {
			code: 503, header: map[string]string{"Retry-After": "3155760000"},
			want: "answered 503 Service Unavailable: throttled for 1h0m0s", like: worker.Throttle(time.Hour),
		},
		"503, a date long past": {
			code: 503, header: map[string]string{"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, want: "answered 503 Service Unavailable",
		},
		"503, 0": {code: 503, header: map[string]string{"Retry-After": "0"}, want: "answered 503 Service Unavailable"},
		"503, less than the backoff": {
			code: 503, header: map[string]string{"Retry-After": "1"},
			want: "answered 503 Service Unavailable: throttled for 2s", like: worker.Throttle(2 * time.Second),
		},
		"503, a date far off": {
			code: 503, header: map[string]string{"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"},
			want: "answered 503 Service Unavailable: throttled for 1h0m0s", like: worker.Throttle(time.Hour),
		},
		"503, beyond every number": {
			code: 503, header: map[string]string{"Retry-After": "99999999999999999999"},
			want: "answered 503 Service Unavailable: throttled for 1h0m0s", like: worker.Throttle(time.Hour),
		},
		"503, a fraction": {
			code: 503, header: map[string]string{"Retry-After": "29.5"},
			want: "answered 503 Service Unavailable: throttled for 30s", like: worker.Throttle(30 * time.Second),
		},
		"503, a wrong fraction": {code: 503, header: map[string]string{"Retry-After": "29.x"}, want: "answered 503 Service Unavailable"},
		"503, a clock that is off": {
			code: 503, header: map[string]string{"Date": "Fri, 31 Dec 1999 23:58:59 GMT", "Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"},
			want: "answered 503 Service Unavailable: throttled for 1m0s", like: worker.Throttle(time.Minute),
		},
		"503, words":           {code: 503, header: map[string]string{"Retry-After": "soon"}, want: "answered 503 Service Unavailable"},
		"503, nonsense":        {code: 503, header: map[string]string{"Retry-After": "-5"}, want: "answered 503 Service Unavailable"},
		"500 with Retry-After": {code: 500, header: map[string]string{"Retry-After": "30"}, want: "answered 500 Internal Server Error"},
		"302": {
			code: 302, header: map[string]string{"Location": "https://u:pw@example.com/\u202e?token=1"},
			want: "answered 302 Found, a redirect to https://xxxxx@example.com/xxxxx?xxxxx: redirects are not followed",
		},
		"307, relative": {
			code: 307, header: map[string]string{"Location": "/elsewhere"},
			want: "answered 307 Temporary Redirect, a redirect to URL/elsewhere: redirects are not followed",
		},
		"308, nowhere": {code: 308, want: "answered 308 Permanent Redirect: redirects are not followed"},
		"302, nonsense": {
			code: 302, header: map[string]string{"Location": "http://[::1"},
			want: "answered 302 Found, a redirect to what is not a URL: redirects are not followed",
		},
		"302, long": {
			code: 302, header: map[string]string{"Location": "http://h/" + strings.Repeat("x", 5000)},
			want: "answered 302 Found, a redirect to http://h/xxxxx: redirects are not followed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int32
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				for name, value := range c.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.body)
			})
			err := post(t.Context(), t, target(t, url, nil, nil))
			if requests.Load() != 1 {
				t.Errorf("%d requests", requests.Load())
			}
			if c.want == "" {
				if err != nil {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err == nil || strings.ReplaceAll(err.Error(), url, "URL") != "URL "+c.want {
				t.Fatalf("the error is %q, want URL %s", err, c.want)
			}
			if got, want := saidOf(err), saidOf(c.like); strings.ReplaceAll(got, url, "URL") != want {
				t.Errorf("the job is %q, want %q", got, want)
			}
		})
	}
}

// saidOf is what an error says becomes of the job: the text of the outcome in it.
func saidOf(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if fmt.Sprintf("%T", err) == "*worker.outcome" {
			return err.Error()
		}
	}
	return ""
}

func TestE9_RetryAfterIsADate(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"Tue, 01 Jan 2030 00:01:30 GMT": 90 * time.Second,
		"Tue, 01 Jan 2031 00:01:30 GMT": time.Hour,
		"0":                             0,
		"18446744073709551615":          time.Hour,
	} {
		if got, ok := retryAfter(http.Header{"Retry-After": {text}}, now); !ok || got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

// Of an answer without an end, at most so much is read, and the status counts.
func TestE9_AHugeAnswer(t *testing.T) {
	for code, fine := range map[int]bool{200: true, 500: false} {
		var written atomic.Int64
		ended := make(chan struct{})
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			defer close(ended)
			w.WriteHeader(code)
			for block := []byte(strings.Repeat("é", 1<<15)); ; {
				n, err := w.Write(block)
				if written.Add(int64(n)); err != nil {
					return
				}
			}
		})
		err := post(t.Context(), t, target(t, url, nil, nil))
		<-ended
		if fine != (err == nil) || err != nil && (len(err.Error()) > 1200 || !strings.HasSuffix(err.Error(), "é")) {
			t.Errorf("%d: %d bytes were written, the error is %v", code, written.Load(), err)
		}
	}
}

// An answer that is slow, or stops, ends with the context, whose cause is the error.
func TestE9_ASlowAnswer(t *testing.T) {
	for name, start := range map[string]string{"nothing": "", "the header": "\n", "a part of the body": "abc"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, over := make(chan struct{}), make(chan struct{})
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if start != "" {
					_, _ = io.WriteString(w, start)
					w.(http.Flusher).Flush()
				}
				close(begun)
				<-over
			})
			defer close(over)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-begun
				cancel(worker.ErrTimedOut)
			}()
			if err := post(ctx, t, target(t, url, nil, nil)); !errors.Is(err, worker.ErrTimedOut) || !strings.HasPrefix(err.Error(), url) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// Neither the URL's credentials nor headers are shown, also not when the server sends them back.
func TestE9_NothingPrivateIsShown(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintln(w, "you sent", r.Header, r.URL)
	})
	private := []string{
		"pass-of-u", "://u:", "key-of-query", "token-of-header", "value-of-header",
		base64.StdEncoding.EncodeToString([]byte("u:pass-of-u")),
	}
	address := strings.Replace(url, "://", "://u:pass-of-u@", 1) + "/p?key=key-of-query"
	headers := map[string]string{"X-Auth": "Bearer token-of-header", "X-Key": "value-of-header"}
	broken := strings.Replace(address, url[strings.LastIndexByte(url, ':'):], ":1", 1)
	for _, address := range []string{address, broken} {
		err := post(t.Context(), t, target(t, address, NewSecret(), headers))
		if err == nil || !strings.Contains(err.Error(), "://xxxxx@127.0.0.1") || !strings.Contains(err.Error(), "/p?xxxxx") {
			t.Fatalf("the error is %v", err)
		}
		for _, text := range private {
			if strings.Contains(err.Error(), text) {
				t.Errorf("%s is shown: %v", text, err)
			}
		}
	}
}

// Connections are kept for the next job, and closed at the end.
func TestE9_ConnectionsAreKeptAndClosed(t *testing.T) {
	var opened, closed atomic.Int32
	ended := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 10<<10))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			if closed.Add(1) == 1 {
				close(ended)
			}
		default:
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := New(false)
	for range 5 {
		if err := client.Post(t.Context(), target(t, server.URL, nil, nil), aJob(), "id", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if opened.Load() != 1 || closed.Load() != 0 {
		t.Errorf("%d connections were opened, and %d closed", opened.Load(), closed.Load())
	}
	client.Close()
	<-ended
}

// No proxy of the environment is used: it would connect to what is refused here.
func TestE9_NoProxyIsUsed(t *testing.T) {
	if New(false).transport.Proxy != nil {
		t.Error("there is a proxy")
	}
}

func TestTargetsThatAreWrong(t *testing.T) {
	const private = "hush-hush"
	for want, c := range map[string]struct {
		address       string
		header, value string
	}{
		"not a URL:":                        {address: "http://[" + private},
		"not a URL of http or https":        {address: "ftp://" + private},
		"no host":                           {address: "http:///" + private},
		`"X:Y" is not the name of a header`: {address: "http://h", header: "X:Y", value: private},
		`"" is not the name of a header`:    {address: "http://h", value: private},
		"Webhook-Id is set by sqlqueue":     {address: "http://h", header: "webhook-id", value: private},
		"X has a value with a line break":   {address: "http://h", header: "X", value: private + "\r\nY: 1"},
	} {
		headers := map[string]string{c.header: c.value}
		if c.value == "" {
			headers = nil
		}
		_, err := NewTarget(c.address, nil, headers)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), private) {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	one, other := NewSecret(), NewSecret()
	again, err := ParseSecret(one.Text())
	if err != nil || again.Text() != one.Text() || one.Text() == other.Text() || len(one.key) != 32 {
		t.Errorf("%v: %s, %s and %s", err, one.Text(), again, other.Text())
	}
	if strings.Contains(fmt.Sprint(one), one.Text()) {
		t.Error("it prints itself")
	}
	for _, text := range []string{
		"", "whsec_", "whsec_c2hvcnQ=", one.Text()[len("whsec_"):], one.Text() + "!",
		"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)),
	} {
		if _, err := ParseSecret(text); err == nil ||
			text != "" && strings.Contains(err.Error(), strings.TrimPrefix(text, "whsec_")) && len(text) > 6 {
			t.Errorf("%q: %v", text, err)
		}
	}
}
