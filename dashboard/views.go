package dashboard

import (
	"fmt"
	"slices"
	"time"
)

// View is a search that is shown as a link on a page.
type View struct {
	Name  string // what the link says
	Page  string // jobs or failed
	Query string // as it is typed there, such as "queue:mail state:delayed"
}

// checkViews returns an error if a view leads nowhere.
func (d *Dashboard) checkViews() error {
	for _, view := range d.config.Views {
		var err error
		switch {
		case view.Name == "":
			err = fmt.Errorf("the query %q has no name", view.Query)
		case view.Page == "jobs":
			_, err = d.jobFilter(view.Query, time.Now())
		case view.Page == "failed":
			_, err = failedFilter(view.Query)
		default:
			err = fmt.Errorf("the page %q: use jobs or failed", view.Page)
		}
		if err != nil {
			return fmt.Errorf("dashboard: the view %q: %w", view.Name, err)
		}
	}
	return nil
}

// Views are those of this page.
func (p *page) Views() []View {
	return slices.DeleteFunc(slices.Clone(p.v.config.Views), func(view View) bool { return view.Page != p.Here })
}
