package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/promqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

const (
	rulesFile = "../contrib/prometheus/sqlqueue-alerts.yml"
	boardFile = "../contrib/grafana/sqlqueue.json"
)

// allowedEmpty are expressions that need not return anything, each with the reason.
var allowedEmpty = map[string]string{}

// TestMetrics: a real Prometheus scrapes a worker under load, and every expression of the board and of the alerts finds something.
func TestMetrics(t *testing.T) {
	t.Parallel()
	server := servers.Tool(t, "prometheus", "prometheus")
	promtool := servers.Tool(t, "promtool", "prometheus")
	t.Run("rules", func(t *testing.T) {
		t.Parallel()
		testRules(t, promtool)
	})
	t.Run("expressions", func(t *testing.T) {
		t.Parallel()
		worker, pusher := metricsLoad(t)
		p := startPrometheus(t, server, worker, pusher)
		for _, expr := range p.rules(t) {
			p.answers(t, withoutThresholds(expr))
		}
		for _, expr := range boardExpressions(t) {
			p.answers(t, expr)
		}
	})
	t.Run("names", func(t *testing.T) {
		t.Parallel()
		testMetricNames(t)
	})
}

// testRules runs the rules' own test, and looks whether it has a silent and a firing case of each.
func testRules(t *testing.T, promtool string) {
	tests := strings.TrimSuffix(rulesFile, ".yml") + "-test.yml"
	cmd := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Base(tests))
	cmd.Dir = filepath.Dir(tests)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, output)
	}
	cases := string(readFile(t, tests))
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(readFile(t, rulesFile)), -1)
	if len(alerts) < 10 {
		t.Fatalf("%d alerts", len(alerts))
	}
	for _, alert := range alerts {
		silent := regexp.MustCompile(`\{eval_time: \S+, alertname: ` + alert[1] + `\}`)
		firing := regexp.MustCompile(`alertname: ` + alert[1] + `\n\s+exp_alerts: \[\{`)
		if !silent.MatchString(cases) || !firing.MatchString(cases) {
			t.Errorf("%s has no silent or no firing case in %s", alert[1], tests)
		}
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// metricsLoad runs a worker that has something of everything to do until the test ends, and returns where it and the one who pushes serve
// their metrics.
func metricsLoad(t *testing.T) (worker, pusher string) {
	t.Helper()
	binary := buildBinary(t)
	file := filepath.Join(t.TempDir(), "metrics.db")
	if output, err := exec.CommandContext(t.Context(), binary, "--dsn", "sqlite:"+file, "migrate", "up").CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, output)
	}
	database, err := opened.Open("sqlite:" + file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close() })
	registry := prometheus.NewRegistry()
	q, err := sqlitequeue.New(database.DB, sqlqueue.Config{OnPush: promqueue.Pushes(registry)})
	if err != nil {
		t.Fatal(err)
	}
	serves := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(serves.Close)

	pushing, stop := context.WithCancel(t.Context())
	var pushes sync.WaitGroup
	pushes.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for pushing.Err() == nil {
			for _, name := range []string{"send", "resize", "broken", "hopeless"} {
				_, _ = q.Push(pushing, sqlqueue.Named(name, nil), sqlqueue.OnQueue("mail"))
				_, _ = q.Push(pushing, sqlqueue.Named(name, nil), sqlqueue.OnQueue("images"))
			}
			select {
			case <-tick.C:
			case <-pushing.Done():
			}
		}
	})
	t.Cleanup(func() { stop(); pushes.Wait() })

	const handler = `case $SQLQUEUE_JOB_NAME in broken) exit 1;; hopeless) exit 65;; esac`
	cmd := exec.CommandContext(t.Context(), binary, "--dsn", "sqlite:"+file,
		"work", "--queue", "mail,images", "--fair", "--exec", handler, "--metrics", "0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said, rest := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(rest)
		said <- findAddress(stderr)
		_, _ = io.Copy(io.Discard, stderr)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-rest
		_ = cmd.Wait()
	})
	address := <-said
	if address == "" {
		t.Fatal("the worker does not say where it serves metrics")
	}
	return address, strings.TrimPrefix(serves.URL, "http://")
}

// findAddress reads a log until it says where metrics are served; empty: it ended before.
func findAddress(log io.Reader) string {
	pattern := regexp.MustCompile(`msg="serving metrics" address=(\S+)\n`)
	var text []byte
	chunk := make([]byte, 4096)
	for {
		n, err := log.Read(chunk)
		text = append(text, chunk[:n]...)
		if found := pattern.FindSubmatch(text); found != nil {
			return string(found[1])
		}
		if err != nil {
			return ""
		}
	}
}

// server is a Prometheus that runs.
type promServer struct {
	url  string
	done chan struct{}
	log  bytes.Buffer // when it is done
}

func startPrometheus(t *testing.T, program string, targets ...string) *promServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n"+
		"- job_name: sqlqueue\n  static_configs: [{targets: [%s]}]\n",
		rules, strings.Join(targets, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for { // until it gets a port: another process may have taken it first
		port := freePort(t)
		p := &promServer{url: "http://" + port, done: make(chan struct{})}
		cmd := exec.CommandContext(t.Context(), program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
			"--web.listen-address="+port)
		cmd.Stdout, cmd.Stderr = &p.log, &p.log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(p.done)
			_ = cmd.Wait()
		}()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-p.done
		})
		err := p.await(t, func() error {
			var ready any
			return p.ask(t, "/api/v1/status/buildinfo", &ready)
		})
		if err == nil {
			return p
		}
		_ = cmd.Process.Kill()
		<-p.done
		if !strings.Contains(p.log.String(), "address already in use") {
			t.Fatalf("%v\n%s", err, p.log.String())
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// await waits until the condition holds, and returns what it said last when time is up or the server has ended.
func (p *promServer) await(t *testing.T, holds func() error) error {
	t.Helper()
	late := 2 * time.Minute
	if deadline, ok := t.Deadline(); ok {
		late = min(late, time.Until(deadline)/2)
	}
	end := time.After(late)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.done:
			return fmt.Errorf("prometheus has ended: %w", err)
		case <-end:
			return err
		}
	}
}

// ask asks Prometheus's API.
func (p *promServer) ask(t *testing.T, path string, answer any) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	return err
}

// rules returns the expressions of the alerts, as Prometheus has read them.
func (p *promServer) rules(t *testing.T) (all []string) {
	t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Query string }
			}
		}
	}
	if err := p.ask(t, "/api/v1/rules", &answer); err != nil {
		t.Fatal(err)
	}
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			all = append(all, rule.Query)
		}
	}
	if len(all) < 10 {
		t.Fatalf("prometheus has %d rules", len(all))
	}
	return all
}

// answers waits until an expression returns a sample.
func (p *promServer) answers(t *testing.T, expr string) {
	t.Helper()
	if allowedEmpty[expr] != "" {
		return
	}
	err := p.await(t, func() error {
		var answer struct {
			Data struct{ Result []any }
		}
		if err := p.ask(t, "/api/v1/query?query="+url.QueryEscape(expr), &answer); err != nil {
			return err
		}
		if len(answer.Data.Result) == 0 {
			return fmt.Errorf("%s returns nothing", expr)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// withoutThresholds makes of an alert what it looks at, whether that is high or not.
func withoutThresholds(expr string) string {
	return regexp.MustCompile(`\s(==|>|<)\s[0-9.]+`).ReplaceAllString(expr, "")
}

// boardExpressions returns those of the board, and of its variables, with the variables filled in.
func boardExpressions(t *testing.T) (all []string) {
	t.Helper()
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(readFile(t, boardFile), &board); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$queue", ".*", "$name", ".*", "$__rate_interval", "30s")
	for _, panel := range board.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("the panel %q has no expression", panel.Title)
		}
		for _, target := range panel.Targets {
			all = append(all, fill.Replace(target.Expr))
		}
	}
	for _, v := range board.Templating.List {
		if v.Type == "query" {
			labels := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(fill.Replace(v.Definition))
			if labels == nil {
				t.Fatalf("the variable %s: %s", v.Name, v.Definition)
			}
			all = append(all, fmt.Sprintf("group by (%s) (%s)", labels[2], labels[1]))
		}
	}
	if len(all) < 30 {
		t.Errorf("the board has %d expressions", len(all))
	}
	return all
}

// describer notes what is registered.
type describer struct{ names map[string]bool }

func (d describer) Register(c prometheus.Collector) error {
	described := make(chan *prometheus.Desc, 100)
	c.Describe(described)
	close(described)
	for desc := range described {
		d.names[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(desc.String())[1]] = true
	}
	return nil
}

func (d describer) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		_ = d.Register(c)
	}
}

func (d describer) Unregister(prometheus.Collector) bool { return false }

// testMetricNames: board, alerts and docs name metrics that there are, and docs name all.
func testMetricNames(t *testing.T) {
	d := describer{map[string]bool{}}
	promqueue.Worker(d)
	promqueue.Pushes(d)
	d.MustRegister(promqueue.Collector(nil))
	const docs = "../docs/metrics.md"
	named := map[string][]string{}
	for _, file := range []string{rulesFile, boardFile, docs} {
		for _, name := range regexp.MustCompile(`\bsqlqueue_\w+`).FindAllString(string(readFile(t, file)), -1) {
			named[file] = append(named[file], name)
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !d.names[name] && !d.names[base] {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
	for name := range d.names {
		if !slices.Contains(named[docs], name) {
			t.Errorf("%s does not name %s", docs, name)
		}
	}
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(readFile(t, rulesFile)), -1) {
		if !strings.Contains(string(readFile(t, docs)), alert[1]) {
			t.Errorf("%s does not say what to do at %s", docs, alert[1])
		}
	}
}
