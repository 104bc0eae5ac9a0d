"""Day 4 on a learner's screen: exercises, widgets, quiz and checklist do what they promise."""

import json

from playwright.sync_api import expect

from labhelpers.core import answers, timetable
from labhelpers.display import plots

from .notebook_page import Notebook, Watched, write_notebook

RIGHT = """lora_config = LoraConfig(
    r=8, lora_alpha=16, lora_dropout=0.05, target_modules=models.lora_targets(base), task_type="SEQ_CLS"
)"""
CHECK = 'exercise.check("day04/lora-config"'
SOLUTION = 'exercise.solution("day04/lora-config")'


def outputs(cell):
    """What a cell shows."""
    return cell.locator(".jp-OutputArea-output")


def test_nothing_looks_like_an_error(day04):
    assert day04.page.locator('.jp-OutputArea-output[data-mime-type*="stderr"]').all_text_contents() == []
    assert day04.page.locator('.jp-OutputArea-output[data-mime-type*="error"]').all_text_contents() == []
    shown = "\n".join(outputs(day04.page).all_text_contents())
    assert "Traceback" not in shown and "Error displaying widget" not in shown
    assert "not answered yet" in shown


def test_every_figure_is_described(day04):
    # JupyterLab calls a figure without a description "Image", which axe accepts.
    described = outputs(day04.page).locator("img").evaluate_all("all => all.map(image => image.alt)")
    assert described and min(map(len, described)) >= plots.SHORTEST_ALT


def test_wrong_answer_is_explained_and_right_answer_opens_the_solution(day04):
    exercise, check = day04.cell("lora_config = ..."), day04.cell(CHECK)
    solution = day04.add_cell_below(CHECK, SOLUTION)
    day04.run(solution)
    expect(outputs(solution)).not_to_contain_text("SEQ_CLS")

    day04.write(exercise, RIGHT.replace("r=8", "r=16"))
    day04.run(exercise)
    day04.run(check)
    expect(outputs(check)).to_contain_text("✘ day04/lora-config: The rank is 16, not 8")

    day04.write(exercise, RIGHT)
    day04.run(exercise)
    day04.run(check)
    expect(outputs(check)).to_contain_text("✔ day04/lora-config: Right")
    day04.run(solution)
    expect(outputs(solution)).to_contain_text('task_type="SEQ_CLS"')


def test_a_slider_moved_with_the_keyboard_redraws_its_figure(day04):
    cell = day04.cell("widgets.explore(schedule")
    picture, slider = cell.locator("img"), cell.get_by_role("slider", name="epochs")
    before = picture.get_attribute("src"), cell.locator(".widget-readout").inner_text()
    slider.press("ArrowRight")
    expect(cell.locator(".widget-readout")).not_to_have_text(before[1])
    expect(picture).not_to_have_attribute("src", before[0])


def test_a_guess_is_kept(day04, lab):
    cell = day04.cell("day04-test-accuracy")
    cell.get_by_role("slider", name="Test accuracy after training a sliver of the model").press("ArrowRight")
    cell.get_by_role("button", name="This is my guess").press("Enter")
    expect(cell.get_by_role("status")).to_contain_text("Saved. Your guess: 75.1 %")
    assert json.loads((lab.workspace / "guesses.json").read_text())["day04-test-accuracy"] == 75.1


def test_the_quiz_explains_every_choice(day04):
    boxes = day04.cell("quiz.ask(").locator(".course-widget")
    questions = answers.questions("day04")
    expect(boxes).to_have_count(len(questions))
    for number, question in enumerate(questions):
        for at, choice in enumerate(question["choices"]):
            boxes.nth(number).get_by_role("radio").nth(at).check()
            expect(boxes.nth(number).get_by_role("status")).to_contain_text(choice["explanation"])


def test_a_ticked_item_is_in_the_file_and_still_ticked_after_a_reload(day04, lab):
    item = timetable.lesson("day04")["checklist"][1]
    cell = day04.cell("progress.checklist(")
    box = cell.get_by_role("checkbox").nth(1)
    box.press("Space")
    expect(cell.get_by_role("status")).to_contain_text("Saved in progress/week1.md")
    lines = (lab.progress / "week1.md").read_text(encoding="utf-8").splitlines()
    assert [line[:5] for line in lines if item["id"] in line] == ["- [x]"]

    day04.save()
    day04.reload()
    expect(box).to_be_checked()
    day04.run(cell)
    expect(cell.get_by_role("checkbox").nth(1)).to_be_checked()
    expect(cell.get_by_role("checkbox").nth(2)).not_to_be_checked()


def test_a_lesson_opened_again_without_its_kernel_shows_its_widgets(lab, browser, watched):
    code = 'from labhelpers import progress, widgets\nwidgets.predict("again", "How many?", 0, 10)\nprogress.checklist("day01")'
    write_notebook(lab.course / "lessons" / "again.ipynb", [code])
    first = Notebook(Watched(lab, browser), "lessons/again.ipynb")
    first.run_all()
    first.save()
    first.watched.page.context.close()
    lab.end_kernel("lessons/again.ipynb")

    again = Notebook(watched, "lessons/again.ipynb")
    expect(outputs(again.page).first).to_contain_text("How many?")
    expect(again.page.get_by_role("checkbox").first).to_be_visible()
    assert "Error displaying widget" not in "".join(outputs(again.page).all_text_contents())
