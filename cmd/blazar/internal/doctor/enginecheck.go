package doctor

import "context"

// Engine is a column of the capability matrix.
type Engine struct {
	Name         string            `json:"name"`
	Version      string            `json:"version"`
	Capabilities map[string]string `json:"capabilities"`
}

func checkEngines(ctx context.Context, h *Host) []Result {
	var (
		results []Result
		usable  int
	)
	for _, name := range h.Engines.Names() {
		e, err := h.Engines.Open(ctx, name)
		if err != nil {
			results = append(results, Result{Warn, "engine " + name, err.Error(), "modules that ask for it are refused; the others do without"})
			continue
		}
		usable++
		results = append(results, Result{OK, "engine " + name, e.Info().Version, ""})
	}
	if usable == 0 {
		results = append(results, Result{Fail, "engines", "none works", "install Blazar anew: a build always has wazero"})
	}
	return results
}

// matrix describes the engines that work, the preferred one first.
func matrix(ctx context.Context, h *Host) []Engine {
	list := []Engine{}
	for _, name := range h.Engines.Names() {
		if e, err := h.Engines.Open(ctx, name); err == nil {
			i := e.Info()
			list = append(list, Engine{i.Name, i.Version, i.Capabilities})
		}
	}
	return list
}
