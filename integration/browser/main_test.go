package browser

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
	"github.com/sqlqueue/sqlqueue/integration/servers"
)

func TestMain(m *testing.M) { servers.Main(m, stopBrowser, built.Remove) }

var (
	//go:embed package.json
	npmPackage []byte
	//go:embed package-lock.json
	npmLock []byte
)

// stopBrowser ends the browser, if one was started. Who starts it sets it.
var endBrowser = func() error { return nil }

func stopBrowser() error { return endBrowser() }

// theBrowser is one Chromium for all tests of the package; each has contexts of its own in it, without common cookies or storage.
var theBrowser = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("google-chrome") // where Debian's is not to be had
	if err != nil {
		path, err = program("chromium", "chromium")
	}
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sqlqueue-browser-")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.NoSandbox, // root has none
		chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"), // of a page that points its name at this machine
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("ignore-certificate-errors", true), // of a proxy with TLS
		chromedp.Flag("hide-scrollbars", false),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	endBrowser = func() error {
		err := chromedp.Cancel(ctx)
		stop()
		stopAllocator()
		if removeErr := os.RemoveAll(dir); err == nil {
			err = removeErr
		}
		return err
	}
	return ctx, chromedp.Run(ctx)
})

// axe is axe-core's script.
var axe = sync.OnceValues(func() (string, error) {
	npm, err := program("npm", "npm")
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "sqlqueue-axe-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, content := range map[string][]byte{"package.json": npmPackage, "package-lock.json": npmLock} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	ci := exec.CommandContext(ctx, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	ci.Dir = dir
	if output, err := ci.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w: %s", err, output)
	}
	script, err := os.ReadFile(filepath.Join(dir, "node_modules/axe-core/axe.min.js"))
	return string(script), err
})

// program returns the path of a command, and installs the Debian package that has it where it is missing.
func program(command, pkg string) (string, error) {
	if path, err := exec.LookPath(command); err == nil {
		return path, nil
	}
	if err := servers.Install(context.Background(), []string{pkg}); err != nil {
		return "", fmt.Errorf("there is no %s, and it could not be installed: %w", command, err)
	}
	return exec.LookPath(command)
}
