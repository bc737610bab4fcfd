package chaos

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNodes: workers and producers are spread over the nodes of an engine. Each node in turn is killed, with a worker, and started. The
// command in ../engines gives it what it needs: SQLQUEUE_TEST_NODES, the nodes' addresses with a space between them, and
// SQLQUEUE_TEST_NODE, a command of sh that takes kill N or start N, from 1.
func TestNodes(t *testing.T) {
	nodes := strings.Fields(os.Getenv("SQLQUEUE_TEST_NODES"))
	if len(nodes) == 0 {
		t.Skip("not run: make engines has the nodes")
	}
	engine, _, _ := strings.Cut(nodes[0], ":")
	w := &world{
		T: t, engine: engine, binaries: buildWorkers(t), history: t.TempDir(), random: newRandom(t), pushing: func() {}, nodes: nodes,
	}
	w.direct, w.dsn = nodes[0], nodes[0]
	w.begin()
	w.work(2 * len(nodes))
	w.produce(max(2, len(nodes)), usual)
	w.pass(2 * time.Second)
	for i := range nodes {
		w.node("kill", i+1)
		w.team.signal(w.team.any(), syscall.SIGKILL)
		w.pass(2 * expire)
		w.node("start", i+1)
		w.pass(2 * time.Second)
	}
	w.settle()
}

// node does something to a node, and waits until it is done.
func (w *world) node(what string, n int) {
	w.Helper()
	command := os.Getenv("SQLQUEUE_TEST_NODE") + " " + what + " " + strconv.Itoa(n)
	if out, err := exec.CommandContext(w.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
		w.Fatalf("%s: %v: %s", command, err, out)
	}
}
