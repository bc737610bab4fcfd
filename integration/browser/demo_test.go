package browser

import (
	"bufio"
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/url"
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
var images = flag.String("images", "", "a directory: write screenshots of what TestDemo, TestEveryPage or TestChinese look at there")

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
	address, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	b := newTab(t)
	b.open(strings.TrimSpace(address))
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
		b.run(chromedp.EmulateViewport(1280, 800), chromedp.Sleep(time.Second))
		picture := b.picture(1280)
		if len(picture) > most {
			t.Errorf("the picture in %s has %d bytes", theme, len(picture))
		}
		name := filepath.Join(*images, "dashboard-"+theme+".png")
		if err := os.WriteFile(name, picture, 0o644); err != nil { //nolint:gosec // for everyone
			t.Fatal(err)
		}
	}
}

// picture is a picture of the page, as wide as its window.
func (b *tab) picture(width int64) (picture []byte) {
	b.t.Helper()
	b.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		height := is[float64](b, `Math.ceil(document.querySelector("main").getBoundingClientRect().bottom)`)
		picture, err = page.CaptureScreenshot().WithClip(&page.Viewport{Width: float64(width), Height: height, Scale: 1}).
			WithCaptureBeyondViewport(true).Do(ctx)
		return err
	}))
	return picture
}

// show writes a picture of a page that a test looks at, with -images.
func (b *tab) show(path string, l look, language string) {
	b.t.Helper()
	if *images == "" {
		return
	}
	name := fmt.Sprintf("%s-%d-%s-%s.png", cmp.Or(url.PathEscape(path), "overview"), l.width, l.theme, language)
	err := os.MkdirAll(*images, 0o755) //nolint:gosec // for everyone
	if err == nil {
		err = os.WriteFile(filepath.Join(*images, name), b.picture(l.width), 0o644) //nolint:gosec // for everyone
	}
	if err != nil {
		b.t.Error(err)
	}
}
