"""Puts widgets on the page and repairs what ipywidgets 8.1 and JupyterLab 4.6 leave out: slider names, line breaks."""

from typing import Any

CLASS = "course-widget"
REPAIRS = """<style>
.course-widget > .widget-inline-hbox {max-width: calc(100% - 4px);}
.course-widget .widget-checkbox, .course-widget .widget-dropdown {height: auto;}
.course-widget .widget-checkbox .widget-label-basic, .course-widget .widget-radio-box label {
    display: flex; align-items: baseline; height: auto; padding: 3px 0;
    line-height: 1.4; white-space: normal; overflow: visible;
}
.course-widget .widget-radio-box label {flex-direction: row-reverse; justify-content: flex-end; gap: 6px;}
.course-widget .widget-radio-box input {flex: none; height: auto; margin: 0 1px; transform: translateY(2px);}
.course-widget .widget-dropdown {flex-wrap: wrap;}
.course-widget .widget-dropdown .widget-label {height: auto; overflow: visible; white-space: normal; text-align: left;}
.jp-RenderedText pre {word-break: normal; overflow-wrap: anywhere;}
.course-widget .widget-dropdown select {flex: 1 1 auto; min-width: fit-content; height: 28px;}
</style><script>
(() => {
    if (window.courseNamesSliders) return;
    window.courseNamesSliders = true;
    const name = () => document.querySelectorAll('.widget-slider [role=slider]:not([aria-label])').forEach(handle => {
        const label = handle.closest('.widget-slider').querySelector('.widget-label');
        const tooltip = label && label.title !== 'null' && label.title;  // JupyterLab writes Python's None as "null"
        const text = tooltip || label?.textContent;
        if (text) handle.setAttribute('aria-label', text);
    });
    new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
    name();
})();
</script>"""


def show(widget: Any) -> None:
    """Display a box of ipywidgets with texts that wrap, and sliders that a screen reader can name.

    A slider is called by its tooltip, else by its description. WCAG 2.2, 1.4.10 (reflow) and 4.1.2 (names).
    """
    from IPython.display import display

    widget.add_class(CLASS)
    display(widget)
    display({"text/html": REPAIRS, "text/plain": ""}, raw=True)
