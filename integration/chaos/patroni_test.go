package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// TestPatroni: two PostgreSQL servers under Patroni, with synchronous replication: without it, a failover takes back what was committed
// last. The leader is switched over, and then killed.
func TestPatroni(t *testing.T) {
	abreast(t)
	if servers.Without("postgres") {
		t.Skip("not run: PostgreSQL is switched off")
	}
	binaries := buildWorkers(t)
	c := newCluster(t)
	w := &world{T: t, engine: "postgres", binaries: binaries, history: t.TempDir(), random: newRandom(t), pushing: func() {}}
	w.direct = c.address()
	w.dsn = w.direct
	w.begin()
	w.work(3)
	w.produce(3, usual)
	w.pass(2 * time.Second)
	before := c.leader()
	c.switchover(before)
	after := c.awaitLeader(before)
	c.awaitFollower(before)
	w.pass(2 * time.Second)
	c.kill(after)
	c.awaitLeader(after)
	w.pass(3 * time.Second)
	w.settle()
}

// cluster is two nodes and an etcd.
type cluster struct {
	*testing.T
	nodes map[string]*node
}

type node struct {
	*servers.Program
	sql, rest string // ports
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	clients, peers := servers.FreePort(t), servers.FreePort(t)
	etcd := servers.NewProgram(t, "postgres", fmt.Sprintf("etcd --data-dir data --unsafe-no-fsync --log-level error "+
		"--listen-client-urls http://127.0.0.1:%s --advertise-client-urls http://127.0.0.1:%[1]s "+
		"--listen-peer-urls http://127.0.0.1:%s --initial-advertise-peer-urls http://127.0.0.1:%[2]s "+
		"--initial-cluster default=http://127.0.0.1:%[2]s", clients, peers), nil)
	etcd.Start(t)
	c := &cluster{t, map[string]*node{}}
	for _, name := range []string{"a", "b"} {
		n := &node{sql: servers.FreePort(t), rest: servers.FreePort(t)}
		n.Program = servers.NewProgram(t, "postgres", "patroni settings.yaml", map[string]string{"settings.yaml": fmt.Sprintf(`
scope: chaos
name: %s
restapi: {listen: "127.0.0.1:%s", connect_address: "127.0.0.1:%[2]s"}
etcd3: {host: "127.0.0.1:%s"}
bootstrap:
  dcs: {ttl: 10, loop_wait: 1, retry_timeout: 4, synchronous_mode: true, postgresql: {use_pg_rewind: true}}
  initdb: [{encoding: UTF8}, no-locale, no-sync]
postgresql:
  listen: "127.0.0.1:%s"
  connect_address: "127.0.0.1:%[4]s"
  data_dir: data
  bin_dir: %q
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
  parameters: {unix_socket_directories: ""}
  authentication:
    superuser: {username: postgres, password: secret}
    replication: {username: replicator, password: secret}
    rewind: {username: postgres, password: secret}
`, name, n.rest, clients, n.sql, servers.Programs(t, "postgres"))})
		n.Start(t)
		t.Cleanup(func() { n.killServer() })
		c.nodes[name] = n
	}
	leader := c.awaitLeader("")
	c.awaitFollower(map[string]string{"a": "b", "b": "a"}[leader])
	return c
}

// awaitFollower waits until a node has all that the leader commits.
func (c *cluster) awaitFollower(name string) {
	c.Helper()
	c.await("node "+name+" follows", func() bool { return c.call(http.MethodGet, c.nodes[name].rest, "sync", nil, nil) == nil })
}

// address is that of whichever node takes writes.
func (c *cluster) address() string {
	return fmt.Sprintf("postgres://postgres:secret@127.0.0.1:%s,127.0.0.1:%s/postgres"+
		"?sslmode=disable&target_session_attrs=read-write&connect_timeout=2", c.nodes["a"].sql, c.nodes["b"].sql)
}

// status returns the roles of the nodes that run.
func (c *cluster) status() map[string]string {
	roles := map[string]string{}
	for name, n := range c.nodes {
		var answer struct{ State, Role string }
		if c.call(http.MethodGet, n.rest, "patroni", nil, &answer) == nil && answer.State == "running" {
			roles[name] = answer.Role
		}
	}
	return roles
}

func (c *cluster) leader() string {
	for name, role := range c.status() {
		if role == "master" || role == "primary" {
			return name
		}
	}
	return ""
}

// awaitLeader waits until another node leads.
func (c *cluster) awaitLeader(other string) (name string) {
	c.Helper()
	c.await("a node leads", func() bool {
		name = c.leader()
		return name != "" && name != other
	})
	return name
}

func (c *cluster) await(what string, condition func() bool) {
	c.Helper()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-deadline:
			for name, n := range c.nodes {
				c.Logf("node %s: %s", name, n.Log())
			}
			c.Fatalf("waited in vain until %s", what)
		}
	}
}

func (c *cluster) switchover(leader string) {
	c.Helper()
	c.await("a switchover is possible", func() bool {
		return c.call(http.MethodPost, c.nodes[leader].rest, "switchover", map[string]string{"leader": leader}, nil) == nil
	})
}

// kill kills a node: Patroni and PostgreSQL.
func (c *cluster) kill(name string) {
	c.Helper()
	c.nodes[name].Kill(c.T)
	c.nodes[name].killServer()
}

func (n *node) killServer() {
	text, err := os.ReadFile(filepath.Join(n.Dir, "data", "postmaster.pid"))
	if err != nil {
		return // it does not run
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if process, err := strconv.Atoi(first); err == nil {
		_ = syscall.Kill(process, syscall.SIGKILL)
	}
}

func (c *cluster) call(method, port, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:"+port+"/"+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if answer == nil {
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, response.Status)
		}
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}
