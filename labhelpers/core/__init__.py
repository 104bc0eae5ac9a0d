"""The ground floor: settings, errors, safe files, the course's own YAML, sealed answers. Knows no lesson."""
