package browser

import (
	"bufio"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
)

// images is set by make screenshots.
var images = flag.String("images", "", "a directory: write the dashboard's screenshots there")

// TestDemo: the demo's dashboard lives. With -images it makes the pictures of the README.
func TestDemo(t *testing.T) {
	t.Parallel()
	program := built.Program(t, "sqlqueue", "../..", "./cmd/sqlqueue")
	demo := exec.CommandContext(t.Context(), program, "demo", "--dashboard", "--listen", "127.0.0.1:0")
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	demo.WaitDelay = patience
	demo.Stderr = os.Stderr
	output, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = demo.Wait() })
	url, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	b := newTab(t)
	b.open(strings.TrimSpace(url))
	b.shows("billing")
	b.until(`Number(document.querySelectorAll(".kpi dd")[2].firstChild.data.replace(",", "")) > 0`) // done per minute
	running := is[string](b, `document.querySelectorAll(".kpi dd")[1].firstChild.data`)
	b.until(`document.querySelectorAll(".kpi dd")[1].firstChild.data !== %s`, running) // it lives
	if *images == "" {
		return
	}
	b.until(`!document.querySelector(".kpi.warn dd").innerText.startsWith("0") && document.querySelector("tr[id=q-mail]")`)
	if err := os.MkdirAll(*images, 0o755); err != nil { //nolint:gosec // for everyone
		t.Fatal(err)
	}
	const most = 150_000
	for _, theme := range []string{"light", "dark"} {
		b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}))
		var picture []byte
		b.run(chromedp.EmulateViewport(1280, 800), chromedp.Sleep(time.Second), chromedp.ActionFunc(func(ctx context.Context) (err error) {
			height := int64(is[float64](b, `Math.ceil(document.querySelector("main").getBoundingClientRect().bottom)`))
			picture, err = page.CaptureScreenshot().WithClip(&page.Viewport{Width: 1280, Height: float64(height), Scale: 1}).
				WithCaptureBeyondViewport(true).Do(ctx)
			return err
		}))
		if len(picture) > most {
			t.Errorf("the picture in %s has %d bytes", theme, len(picture))
		}
		if err := os.WriteFile(filepath.Join(*images, "dashboard-"+theme+".png"), picture, 0o644); err != nil { //nolint:gosec // for everyone
			t.Fatal(err)
		}
	}
}
