// The README's screenshots, of images that anyone may show: those of scikit-image that are in the public domain or CC0.
//
// SHOTS: the folder to fill. PICTURES: scikit-image's `data` folder.
import { join } from 'node:path';
import { answered, finished, launch, look, open, proxy, startServer, stopServer } from './support.mjs';

const { PICTURES, SHOTS } = process.env;
// A portrait by NASA (public domain) and one by Lav Varshney (CC0); a cat, a cup, a rocket, the moon, galaxies, coins.
const PORTRAIT = 'astronaut.png';
const MANY = [PORTRAIT, 'camera.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'moon.png', 'hubble_deep_field.jpg', 'coins.png'];

const shot = async (page, name) => {
  // Fonts, thumbnails and transitions settle.
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(SHOTS, `${name}.jpg`), type: 'jpeg', quality: 85 });
  await page.finish();
};

await startServer();
proxy.sample = true;
const browser = await launch();
try {
  const empty = await open(browser, { viewport: { width: 1200, height: 900 } });
  await empty.locator('#sample .verdict', { hasText: 'happy' }).waitFor();
  await shot(empty, 'page-empty');

  for (const [name, colorScheme] of [['page', 'light'], ['page-dark', 'dark']]) {
    const many = await open(browser, { viewport: { width: 1200, height: 820 }, colorScheme });
    await many.setInputFiles('#files', MANY.map((one) => join(PICTURES, one)));
    await finished(many, MANY.length);
    await answered(many, PORTRAIT);
    if (colorScheme === 'dark') await look(many, 'camera.png');
    await shot(many, name);
  }

  const phone = await open(browser, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await phone.setInputFiles('#files', MANY.slice(0, 4).map((one) => join(PICTURES, one)));
  await finished(phone, 4);
  await phone.locator('#stage').evaluate((e) => e.scrollIntoView());
  await shot(phone, 'page-phone');
} finally {
  await browser.close();
  await stopServer();
}
