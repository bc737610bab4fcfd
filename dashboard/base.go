package dashboard

import (
	"net/http"
	"net/url"
	"strings"
)

// localPath is the request's path below the dashboard, beginning with a slash, with or without http.StripPrefix. It is empty if the slash
// after the prefix is missing.
func (d *Dashboard) localPath(r *http.Request) string {
	path := r.URL.Path
	if d.config.Path != "" {
		if rest, ok := strings.CutPrefix(path, d.config.Path); ok {
			return "/" + rest
		}
		if path+"/" == d.config.Path {
			return ""
		}
	}
	_, mounted, _ := strings.Cut(r.Pattern, "/") // after the method and the host
	mounted = "/" + mounted
	if r.Pattern == "" || mounted == "/" || !strings.HasSuffix(mounted, "/") || strings.Contains(mounted, "{") {
		return path
	}
	if whole, err := url.ParseRequestURI(r.RequestURI); err == nil {
		if stripped, ok := strings.CutSuffix(whole.Path, path); ok && stripped+"/" == mounted {
			return path
		}
	}
	if rest, ok := strings.CutPrefix(path, mounted); ok {
		return "/" + rest
	}
	return path
}

// baseOf leads from a page to the dashboard's root. It is relative, so that proxies that change the path need no setting.
func baseOf(local string) string {
	depth := strings.Count(local, "/") - 1
	if depth <= 0 {
		return "./"
	}
	return strings.Repeat("../", depth)
}
