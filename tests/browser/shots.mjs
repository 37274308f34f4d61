// The README's screenshots, of pictures that anyone may show: those of scikit-image that are in the public domain or CC0.
//
// SHOTS: the folder to fill. PICTURES: scikit-image's `data` folder.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answered, launch, open, startServer, stopServer } from './support.mjs';

const { PICTURES, SHOTS } = process.env;
const picture = (name) => join(PICTURES, name);
// A portrait by NASA (public domain) and one by Lav Varshney (CC0); a cat, a cup, a rocket, the moon, galaxies, coins.
const PORTRAIT = 'astronaut.png';
const MANY = [PORTRAIT, 'camera.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'moon.png', 'hubble_deep_field.jpg', 'coins.png'];

const shot = async (page, name, what = page) => {
  // Fonts, thumbnails and transitions settle.
  await page.waitForTimeout(500);
  await what.screenshot({ path: join(SHOTS, `${name}.png`) });
  await page.finish();
};

/** The part of a picture that a camera would film, as a JPEG. */
async function film(browser, name) {
  const page = await browser.newPage();
  const url = await page.evaluate(async (url) => {
    const image = await createImageBitmap(await (await fetch(url)).blob());
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [640, 480];
    canvas.getContext('2d').drawImage(image, 0, 0, 480, 360, 0, 0, 640, 480);
    return canvas.toDataURL('image/jpeg', 0.95);
  }, `data:image/png;base64,${readFileSync(picture(name)).toString('base64')}`);
  await page.close();
  const jpeg = Buffer.from(url.split(',')[1], 'base64');
  const path = join(SHOTS, 'film.mjpeg');
  writeFileSync(path, Buffer.concat([jpeg, jpeg]));
  return path;
}

await startServer();
const browser = await launch();
try {
  const one = await open(browser, { viewport: { width: 1100, height: 900 } });
  await one.setInputFiles('#files', picture(PORTRAIT));
  await answered(one, PORTRAIT);
  await shot(one, 'console');

  const many = await open(browser, { viewport: { width: 1100, height: 940 }, colorScheme: 'dark' });
  await many.setInputFiles('#files', MANY.map(picture));
  await many.getByText(/^Done: /).waitFor({ state: 'attached' });
  await shot(many, 'console-table-dark');

  const phone = await open(browser, { viewport: { width: 390, height: 940 }, hasTouch: true, isMobile: true });
  await phone.setInputFiles('#files', picture(PORTRAIT));
  await answered(phone, PORTRAIT);
  await phone.locator('#cards').evaluate((e) => e.scrollIntoView());
  await shot(phone, 'console-phone');

  const reel = await film(browser, PORTRAIT);
  const filming = await launch(`--use-file-for-fake-video-capture=${reel}`);
  const live = await open(filming, { viewport: { width: 1100, height: 780 }, colorScheme: 'dark' });
  await live.getByRole('button', { name: 'Start camera' }).click();
  await live.waitForFunction(() => Number(document.getElementById('live-rate').textContent) > 0);
  await shot(live, 'console-camera-dark', live.locator('#live'));
  await filming.close();
  rmSync(reel);
} finally {
  await browser.close();
  await stopServer();
}
