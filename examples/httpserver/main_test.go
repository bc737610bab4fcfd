//go:build unix

package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain: the test starts its own binary as the program.
func TestMain(m *testing.M) {
	if os.Getenv("HTTPSERVER_TEST") == "program" {
		main()
		return
	}
	os.Exit(m.Run())
}

// patience returns how long a test waits for what must come: long, as it decides nothing but when a test that hangs fails, and less when
// the time of all tests is short.
func patience(t *testing.T) time.Duration {
	t.Helper()
	const most = 5 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		return min(most, time.Until(deadline)/2)
	}
	return most
}

// program is one that runs.
type program struct {
	t        *testing.T
	command  *exec.Cmd
	database string
	address  string

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed when lines has grown, and replaced
	ended chan struct{}
	err   error
}

func start(t *testing.T, arguments ...string) *program {
	t.Helper()
	p := &program{t: t, database: filepath.Join(t.TempDir(), "shop.db"), grown: make(chan struct{}), ended: make(chan struct{})}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.command = exec.CommandContext(t.Context(), executable,
		append([]string{"-address", "127.0.0.1:0", "-database", p.database}, arguments...)...)
	p.command.Env = append(os.Environ(), "HTTPSERVER_TEST=program")
	stderr, err := p.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			close(p.grown)
			p.grown = make(chan struct{})
			p.mu.Unlock()
		}
		p.err = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.ended
	})
	p.address = "http://" + p.says(`listening address=(\S+)`)
	return p
}

// says waits for a line, and returns its group.
func (p *program) says(pattern string) string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	late := time.After(patience(p.t))
	for {
		p.mu.Lock()
		output, grown := strings.Join(p.lines, "\n"), p.grown
		p.mu.Unlock()
		if found := expression.FindStringSubmatch(output); found != nil {
			return found[len(found)-1]
		}
		select {
		case <-grown:
		case <-p.ended:
			p.t.Fatalf("the program ended (%v) without %s:\n%s", p.err, pattern, output)
		case <-late:
			p.t.Fatalf("the program does not say %s:\n%s", pattern, output)
		}
	}
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// exit waits for the end of the program and returns its exit code.
func (p *program) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience(p.t)):
		p.t.Fatal("the program does not end")
	}
	return p.command.ProcessState.ExitCode()
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ask makes a request and reads the answer.
func (p *program) ask(ctx context.Context, method, path, order string) (code int, body map[string]any, err error) {
	request, err := http.NewRequestWithContext(ctx, method, p.address+path, strings.NewReader(order))
	if err != nil {
		return 0, nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, err
	}
	_ = json.Unmarshal(text, &body) // none in a refusal
	return response.StatusCode, body, nil
}

// refuses waits until the program takes no more connections.
func (p *program) refuses() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience(p.t))
	defer cancel()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(p.address, "http://"))
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return
		case errors.Is(err, syscall.ECONNRESET): // it was in the queue of the listener that was being closed
			continue
		case err != nil:
			p.t.Fatalf("the server still listens: %v", err)
		}
		_ = connection.Close()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// until asks until the answer is as it should be.
func (p *program) until(path string, holds func(code int, body map[string]any) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience(p.t))
	defer cancel()
	for {
		code, body, err := p.ask(ctx, http.MethodGet, path, "")
		if err != nil {
			p.t.Fatalf("%s: %v", path, err)
		}
		if holds(code, body) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			p.t.Fatalf("%s still answers %d %v", path, code, body)
		}
	}
}

// counts returns what is in the database: orders with an invoice, and jobs.
func (p *program) counts() (invoiced, jobs int) {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+p.database)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(p.t.Context(), "SELECT (SELECT count(*) FROM orders WHERE invoiced), (SELECT count(*) FROM jobs)").
		Scan(&invoiced, &jobs)
	if err != nil {
		p.t.Fatal(err)
	}
	return invoiced, jobs
}

func TestAnOrderIsInvoiced(t *testing.T) {
	p := start(t, "-invoice-takes", "0s")
	code, body, err := p.ask(t.Context(), http.MethodPost, "/orders", "coffee")
	if err != nil || code != http.StatusOK || body["order"] != 1.0 {
		t.Fatalf("got %d %v, %v", code, body, err)
	}
	p.until("/orders/1", func(_ int, body map[string]any) bool { return body["item"] == "coffee" && body["invoiced"] == true })
	if code, _, err := p.ask(t.Context(), http.MethodGet, "/orders/2", ""); err != nil || code != http.StatusNotFound {
		t.Errorf("an order that is not there: %d, %v", code, err)
	}
	for _, probe := range []string{"/livez", "/readyz"} {
		p.until(probe, func(code int, body map[string]any) bool { return code == http.StatusOK && body["ok"] == true })
	}
	p.signal(os.Interrupt)
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// D8, D13: TERM comes while a job runs and a request is under way.
func TestTermFinishesRequestsAndJobs(t *testing.T) {
	p := start(t, "-invoice-takes", "2s", "-answer-within", "10m")
	half, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = half.Close() }()
	if _, err := io.WriteString(half,
		"POST /orders HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(half)
	if response, err := http.ReadResponse(answers, nil); err != nil || response.StatusCode != http.StatusContinue { // it waits for the body
		t.Fatalf("the request that is under way: %v, %v", response, err)
	}
	if _, _, err := p.ask(t.Context(), http.MethodPost, "/orders", "coffee"); err != nil {
		t.Fatal(err)
	}
	p.says("sending order=1")

	p.signal(syscall.SIGTERM)
	p.says("signal: finishing")
	p.refuses()
	p.says("INFO processed")
	if output := p.output(); strings.Contains(output, "worker stopping") {
		t.Errorf("the worker stops before the server has:\n%s", output)
	}
	if _, err := io.WriteString(half, "tea"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("the request that was under way: %v, %v", response, err)
	}
	_ = response.Body.Close()
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// The second job may have come before the worker stopped, or it waits for the next one.
	if invoiced, jobs := p.counts(); invoiced < 1 || invoiced+jobs != 2 {
		t.Errorf("%d orders are invoiced and %d jobs are left, want at least 1, and 2 together", invoiced, jobs)
	}
}

func TestASecondTermEndsItAtOnce(t *testing.T) {
	p := start(t, "-invoice-takes", "1h")
	if _, _, err := p.ask(t.Context(), http.MethodPost, "/orders", "coffee"); err != nil {
		t.Fatal(err)
	}
	p.says("sending order=1")
	p.signal(syscall.SIGTERM)
	p.says("signal: finishing")
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code == 0 {
		t.Error("exit code 0, and a job was left")
	}
	if invoiced, jobs := p.counts(); invoiced != 0 || jobs != 1 {
		t.Errorf("%d orders are invoiced and %d jobs are left, want 0 and 1", invoiced, jobs)
	}
}
