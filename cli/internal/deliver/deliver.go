// Package deliver posts jobs to URLs.
//
// The body is JSON: {"id": 1, "queue": "mail", "name": "send_invoice", "attempts": 1, "data": {…}}. With a secret the request is signed as
// Standard Webhooks says: the header webhook-id is the same at every attempt of a job, and no other job's (see ID), webhook-timestamp has
// seconds of Unix time, and webhook-signature has "v1," and the base64 of the HMAC-SHA256 of id.timestamp.body.
//
// A job that was pushed in a trace has the header traceparent.
//
// The status of the answer says what becomes of the job: 2xx done, 410 fail for good, anything else an error; 429 and 503 with Retry-After
// put the job back for so long, if that is longer than it waits after an error, and an hour at most. Redirects are not followed.
package deliver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/sqlqueue/sqlqueue/worker"
)

const (
	connectTimeout = 10 * time.Second // to connect, and again for TLS; the rest has the job's timeout
	idleTimeout    = time.Minute      // how long a connection is kept for the next job
	mostIdle       = 100              // connections that are kept, for one host

	mostHeader = 64 << 10 // bytes of an answer's header
	mostAnswer = 64 << 10 // bytes that are read of an answer, so that the connection can be used again
)

// Client posts jobs. It is safe for concurrent use.
type Client struct{ transport *http.Transport }

// New returns a Client, which Close ends. Connections to link-local addresses, where clouds have their metadata, to multicast and to
// unspecified addresses are refused; with publicOnly, also those to all others that are not public. A name is looked up first, and no
// proxy is used.
func New(publicOnly bool) *Client {
	dialer := &net.Dialer{Timeout: connectTimeout, Control: control(publicOnly)}
	return &Client{&http.Transport{
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    connectTimeout,
		MaxIdleConns:           mostIdle,
		MaxIdleConnsPerHost:    mostIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: mostHeader,
		DisableCompression:     true, // an answer is not to grow while it is read
	}}
}

// Close closes the connections that are idle. It is called when no job is posted any more.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Post posts a job, and returns what its handler is to return. The id is webhook-id; the backoff is how long the job waits after an error.
func (c *Client) Post(ctx context.Context, to *Target, job *worker.Job[json.RawMessage], id string, backoff time.Duration) error {
	request, err := to.request(ctx, job, id, time.Now())
	if err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	answer, err := c.transport.RoundTrip(request) // an http.Client would look at where redirects lead
	if err != nil {
		return to.broken(ctx, err)
	}
	defer answer.Body.Close()
	text, err := read(answer.Body)
	if err != nil {
		return to.broken(ctx, err)
	}
	return to.outcome(answer, text, backoff)
}

// ID is a job's webhook-id: its id, and a digest of it, of when it was pushed, and of what tells its database from others.
func ID(job worker.JobInfo, database string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", database, job.ID, job.CreatedAt.UnixMicro()))
	return fmt.Sprintf("job_%d_%s", job.ID, base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// body is what is posted.
type body struct {
	ID       int64           `json:"id"`
	Queue    string          `json:"queue"`
	Name     string          `json:"name"`
	Attempts int             `json:"attempts"`
	Data     json.RawMessage `json:"data"`
}

func (t *Target) request(ctx context.Context, job *worker.Job[json.RawMessage], id string, now time.Time) (*http.Request, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body{job.ID, job.Queue, job.Name, job.Attempts, job.Data}); err != nil {
		return nil, err
	}
	text.Truncate(text.Len() - len("\n"))
	content := text.Bytes()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "sqlqueue")
	for name, value := range t.headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if job.Trace != "" {
		request.Header.Set("Traceparent", string(job.Trace))
	}
	if t.url.User != nil {
		password, _ := t.url.User.Password()
		request.SetBasicAuth(t.url.User.Username(), password)
	}
	if t.secret != nil {
		request.Header.Set("Webhook-Signature", t.secret.sign(id, now, content))
	}
	return request, nil
}

// broken is the error of a request that has no whole answer.
func (t *Target) broken(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("%s: %w", t, t.hide(err))
}

// read returns the start of an answer's body, and reads on, up to a limit.
func read(body io.Reader) (start []byte, err error) {
	start, err = io.ReadAll(io.LimitReader(body, mostText))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(body, mostAnswer-mostText))
	}
	return start, err
}
